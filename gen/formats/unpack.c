/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a file in order, decompressed on the way where it is one of gzip (several members may follow each
 * other). */
#include "unpack.h"

#include <string.h>

enum { GZIP = 16 + MAX_WBITS, RATIO = 1032, PART = 1 << 30, SKIP = 1 << 16 };

static int is_member(const struct msagen_unpack *u)
{
    return u->bytes - u->at >= 2 && u->data[u->at] == 0x1f && u->data[u->at + 1] == 0x8b;
}

int msagen_unpack_open(struct msagen_unpack *u, const unsigned char *data, size_t bytes)
{
    memset(u, 0, sizeof *u);
    u->data = data;
    u->bytes = bytes;
    u->packed = is_member(u);
    return u->packed && inflateInit2(&u->z, GZIP) != Z_OK ? -1 : 0;
}

uint64_t msagen_unpack_most(const struct msagen_unpack *u)
{
    const uint64_t left = u->bytes - u->at;
    /* What the decoder has taken already, and not given yet, is of at most its window. */
    return u->packed ? (left + (1u << 15)) * RATIO : left;
}

static int failed(struct msagen_unpack *u, const char *wrong)
{
    u->wrong = wrong;
    return -1;
}

/* Decompresses up to n bytes; *got of them came. Fewer come only at the end. */
static int inflate_some(struct msagen_unpack *u, unsigned char *out, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n && !u->ended) {
        const size_t in = u->bytes - u->at < PART ? u->bytes - u->at : PART, room = n - *got < PART ? n - *got : PART;
        u->z.next_in = (unsigned char *)(uintptr_t)(u->data + u->at);
        u->z.avail_in = (unsigned)in;
        u->z.next_out = out + *got;
        u->z.avail_out = (unsigned)room;
        const int status = inflate(&u->z, Z_NO_FLUSH);
        const size_t taken = in - u->z.avail_in, made = room - u->z.avail_out;
        u->at += taken;
        *got += made;
        if (status == Z_STREAM_END) {
            u->ended = !is_member(u);
            if (!u->ended && inflateReset(&u->z) != Z_OK)
                return failed(u, "gzip: cannot go on");
        } else if (status == Z_MEM_ERROR) {
            return failed(u, "out of memory");
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            return failed(u, "damaged gzip");
        } else if (taken == 0 && made == 0) {
            return failed(u, "its gzip stream ends early");
        }
    }
    return 0;
}

int msagen_unpack_read(struct msagen_unpack *u, void *out, size_t n)
{
    size_t got;
    if (u->packed) {
        if (inflate_some(u, out, n, &got) != 0)
            return -1;
        return got == n ? 0 : failed(u, "it ends early");
    }
    if (u->bytes - u->at < n)
        return failed(u, "it ends early");
    memcpy(out, u->data + u->at, n);
    u->at += n;
    return 0;
}

int msagen_unpack_skip(struct msagen_unpack *u, uint64_t n)
{
    unsigned char part[SKIP];
    if (!u->packed) {
        if (u->bytes - u->at < n)
            return failed(u, "it ends early");
        u->at += (size_t)n;
        return 0;
    }
    for (; n > 0; n -= n < SKIP ? n : SKIP)
        if (msagen_unpack_read(u, part, n < SKIP ? (size_t)n : SKIP) != 0)
            return -1;
    return 0;
}

int msagen_unpack_finish(struct msagen_unpack *u)
{
    unsigned char part[SKIP];
    size_t got = SKIP;
    while (u->packed && !u->ended && got == SKIP)
        if (inflate_some(u, part, SKIP, &got) != 0)
            return -1;
    return 0;
}

void msagen_unpack_close(struct msagen_unpack *u)
{
    if (u->packed)
        inflateEnd(&u->z);
}

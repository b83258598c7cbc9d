/* SPDX-License-Identifier: 0BSD */
/* msa_run_fetch.c - the hooks of a build with streamed weights over the weights' file, or the weights that are linked.
 * A product's own start a transfer in the first and await its end in the second; here the system is told what will be
 * read, and reads it ahead. */
#include "msa_run.h"

#include <string.h>
#if ON_POSIX
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#endif

static struct {
    uint64_t offset;
    size_t bytes;
    void *to;
} asked;

#if BARE

extern const unsigned char msa_weights[];

static int start(void)
{
    return 0;
}

static int finish(void)
{
    memcpy(asked.to, msa_weights + asked.offset, asked.bytes);
    return 0;
}

#elif ON_POSIX

static int start(void)
{
    (void)posix_fadvise(msa_run_weights_file(), (off_t)asked.offset, (off_t)asked.bytes, POSIX_FADV_WILLNEED);
    return 0;
}

static int finish(void)
{
    for (size_t at = 0; at < asked.bytes;) {
        const ssize_t n = pread(msa_run_weights_file(), (unsigned char *)asked.to + at, asked.bytes - at,
            (off_t)(asked.offset + at));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        at += (size_t)n;
    }
    return 0;
}

#else

static FILE *file;

int msa_run_fetch_from(const char *path, size_t *bytes)
{
    file = fopen(path, "rb");
    const long size = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size < 0) {
        return msa_run_fail("%s: cannot be read", path);
    }
    *bytes = (size_t)size;
    return 0;
}

static int start(void)
{
    return 0;
}

static int finish(void)
{
    return fseek(file, (long)asked.offset, SEEK_SET) == 0 && fread(asked.to, 1, asked.bytes, file) == asked.bytes ? 0
        : -1;
}

#endif

int msa_weights_fetch_begin(msa_session *session, uint64_t offset, size_t bytes, void *dst)
{
    (void)session;
    asked.offset = offset;
    asked.bytes = bytes;
    asked.to = dst;
    return start();
}

int msa_weights_fetch_wait(msa_session *session)
{
    (void)session;
    return finish();
}

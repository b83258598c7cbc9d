/* SPDX-License-Identifier: 0BSD */
/* msa_run_fetch.c - the hooks of a build with streamed weights over the weights' file, or the weights that are linked. A product's own
 * start a transfer in the first and await its end in the second; here the system is told what will be read, and reads it ahead. */
#include "msa_run.h"

#include <string.h>
#if ON_POSIX
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

static struct {
    uint64_t offset;
    size_t bytes;
    void *to;
} asked;

#if BARE

static const unsigned char *linked;

int msa_run_open_weights(const char *path, size_t *bytes)
{
    extern const unsigned char msa_weights[], msa_weights_end[];
    (void)path;
    linked = msa_weights;
    *bytes = (size_t)(msa_weights_end - msa_weights);
    return 0;
}

static int start(void)
{
    return 0;
}

static int finish(void)
{
    memcpy(asked.to, linked + asked.offset, asked.bytes);
    return 0;
}

#elif ON_POSIX

static int file = -1;

int msa_run_open_weights(const char *path, size_t *bytes)
{
    struct stat info;
    file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &info) != 0) {
        return msa_run_fail("%s: cannot be read: %s", path, strerror(errno));
    }
    *bytes = (size_t)info.st_size;
    return 0;
}

static int start(void)
{
    (void)posix_fadvise(file, (off_t)asked.offset, (off_t)asked.bytes, POSIX_FADV_WILLNEED);
    return 0;
}

static int finish(void)
{
    for (size_t at = 0; at < asked.bytes;) {
        const ssize_t n = pread(file, (unsigned char *)asked.to + at, asked.bytes - at, (off_t)(asked.offset + at));
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

int msa_run_open_weights(const char *path, size_t *bytes)
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
    return fseek(file, (long)asked.offset, SEEK_SET) == 0 && fread(asked.to, 1, asked.bytes, file) == asked.bytes ? 0 : -1;
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

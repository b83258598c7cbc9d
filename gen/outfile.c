/* SPDX-License-Identifier: Apache-2.0 */
/* A file written beside its target and renamed when complete, so that nobody ever sees half of it. */
#define _GNU_SOURCE
#include "outfile.h"

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 18 };

struct msagen_outfile {
    char *path, *temporary;
    int fd;
    int why; /* errno of the first failure, or 0 */
    uint64_t size;
    size_t held; /* bytes in the buffer, the last of `size` */
    unsigned char *buffer;
};

static void outfile_free(struct msagen_outfile *f)
{
    free(f->path);
    free(f->temporary);
    free(f->buffer);
    free(f);
}

struct msagen_outfile *msagen_outfile_open(const char *path, char *error, size_t error_bytes)
{
    struct msagen_outfile *f = calloc(1, sizeof *f);
    if (!f) {
        snprintf(error, error_bytes, "%s: out of memory", path);
        return NULL;
    }
    const size_t size = strlen(path) + sizeof ".XXXXXX";
    f->fd = -1;
    f->path = strdup(path);
    f->buffer = malloc(BUFFER);
    f->temporary = malloc(size);
    errno = ENOMEM;
    if (f->path && f->buffer && f->temporary) {
        snprintf(f->temporary, size, "%s.XXXXXX", path);
        f->fd = mkostemp(f->temporary, O_CLOEXEC);
    }
    if (f->fd >= 0 && msagen_cleanup(f->temporary) != 0) {
        close(f->fd);
        unlink(f->temporary);
        f->fd = -1;
        errno = ENOMEM;
    }
    if (f->fd < 0) {
        snprintf(error, error_bytes, "%s: cannot be created: %s", path, strerror(errno));
        outfile_free(f);
        return NULL;
    }
    return f;
}

static void write_all(struct msagen_outfile *f, uint64_t at, const unsigned char *data, size_t bytes)
{
    while (bytes && !f->why) {
        const ssize_t n = pwrite(f->fd, data, bytes, (off_t)at);
        if (n > 0) {
            data += n;
            at += (uint64_t)n;
            bytes -= (size_t)n;
        } else if (n == 0) {
            f->why = ENOSPC;
        } else if (errno != EINTR) {
            f->why = errno;
        }
    }
}

static void flush(struct msagen_outfile *f)
{
    write_all(f, f->size - f->held, f->buffer, f->held);
    f->held = 0;
}

void msagen_outfile_write(struct msagen_outfile *f, const void *data, size_t bytes)
{
    if (bytes >= BUFFER) {
        flush(f);
        write_all(f, f->size, data, bytes);
        f->size += bytes;
        return;
    }
    if (bytes > BUFFER - f->held)
        flush(f);
    if (bytes)
        memcpy(f->buffer + f->held, data, bytes);
    f->held += bytes;
    f->size += bytes;
}

void msagen_outfile_patch(struct msagen_outfile *f, uint64_t at, const void *data, size_t bytes)
{
    flush(f);
    write_all(f, at, data, bytes);
}

uint64_t msagen_outfile_size(const struct msagen_outfile *f)
{
    return f->size;
}

int msagen_outfile_failed(const struct msagen_outfile *f)
{
    return f->why != 0;
}

/* mkostemp makes files private; what we write is as public as the user's umask says. */
static int publish(int fd)
{
    const mode_t mask = umask(0);
    umask(mask);
    return fchmod(fd, 0666 & ~mask);
}

int msagen_outfile_finish(struct msagen_outfile *f, char *error, size_t error_bytes)
{
    flush(f);
    if (!f->why && publish(f->fd) != 0)
        f->why = errno;
    if (close(f->fd) != 0 && !f->why)
        f->why = errno;
    f->fd = -1;
    if (!f->why && rename(f->temporary, f->path) != 0)
        f->why = errno;
    const int why = f->why;
    if (why) {
        snprintf(error, error_bytes, "%s: cannot be written: %s", f->path, strerror(why));
        unlink(f->temporary);
    }
    msagen_keep(f->temporary);
    outfile_free(f);
    return why ? -1 : 0;
}

void msagen_outfile_abort(struct msagen_outfile *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    unlink(f->temporary);
    msagen_keep(f->temporary);
    outfile_free(f);
}

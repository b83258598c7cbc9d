/* SPDX-License-Identifier: Apache-2.0 */
/* A file written in a temporary folder beside its target, synchronised, and renamed when complete: nobody ever sees
 * half of it, also not after a power failure. */
#define _GNU_SOURCE
#include "outfile.h"

#include "host.h"
#include "sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, WRITE_BACK = 1 << 23 };

struct msagen_outfile {
    char *path;      /* as the user gave it, for messages */
    char *target;    /* what it leads to */
    char *folder;    /* of the temporary file; NULL: the target is a device or a pipe, and open itself */
    char *temporary;
    int fd;
    int lasting; /* synchronised before it is renamed */
    int pipe; /* or a terminal: no seeking */
    int why; /* errno of the first failure, or 0 */
    uint64_t size;
    size_t held; /* bytes in the buffer, the last of `size` */
    unsigned char *buffer;
};

static void outfile_free(struct msagen_outfile *f)
{
    free(f->path);
    free(f->target);
    free(f->folder);
    free(f->temporary);
    free(f->buffer);
    free(f);
}

/* Opens f->target itself where renaming would replace something that is no file; 0 if the target is a file or not
 * there. */
static int open_special(struct msagen_outfile *f)
{
    struct stat st;
    if (stat(f->target, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
        return 0;
    f->fd = open(f->target, O_WRONLY | O_CLOEXEC);
    f->pipe = f->fd >= 0 && lseek(f->fd, 0, SEEK_CUR) < 0;
    return 1;
}

static void open_temporary(struct msagen_outfile *f)
{
    static const char name[] = ".msagen-XXXXXX", file[] = "/file";
    const char *slash = strrchr(f->target, '/');
    const size_t parent = slash ? (size_t)(slash - f->target) + 1 : 0;
    const size_t size = parent + sizeof name + sizeof file;
    f->folder = malloc(size);
    f->temporary = malloc(size);
    if (!f->folder || !f->temporary)
        return;
    snprintf(f->folder, size, "%.*s", (int)parent, f->target);
    msagen_sweep(parent ? f->folder : ".");
    memcpy(f->folder + parent, name, sizeof name);
    if (msagen_temporary_folder(f->folder) != 0) {
        free(f->folder);
        f->folder = NULL;
        return;
    }
    snprintf(f->temporary, size, "%s%s", f->folder, file);
    f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

/* Removes the temporary folder with what is still in it. */
static void leave(struct msagen_outfile *f)
{
    const int why = errno;
    if (f->folder) {
        msagen_remove_tree(f->folder);
        msagen_keep(f->folder);
    }
    outfile_free(f);
    errno = why;
}

struct msagen_outfile *msagen_outfile_open(const char *path, char *error, size_t error_bytes)
{
    struct msagen_outfile *f = calloc(1, sizeof *f);
    if (!f) {
        snprintf(error, error_bytes, "%s: out of memory", path);
        return NULL;
    }
    f->fd = -1;
    f->lasting = 1;
    f->path = strdup(path);
    f->target = realpath(path, NULL);
    if (!f->target)
        f->target = strdup(path);
    f->buffer = malloc(BUFFER);
    errno = ENOMEM;
    if (f->path && f->target && f->buffer && !open_special(f))
        open_temporary(f);
    if (f->fd < 0) {
        snprintf(error, error_bytes, "%s: cannot be created: %s", path, strerror(errno));
        leave(f);
        return NULL;
    }
    return f;
}

void msagen_outfile_passing(struct msagen_outfile *f)
{
    f->lasting = 0;
}

static void write_all(struct msagen_outfile *f, uint64_t at, const unsigned char *data, size_t bytes)
{
    while (bytes && !f->why) {
        const ssize_t n = f->pipe ? write(f->fd, data, bytes) : pwrite(f->fd, data, bytes, (off_t)at);
        if (n > 0) {
            /* The disk begins now, so that little is left to wait for at the end. */
            if (f->lasting && (at + (uint64_t)n) / WRITE_BACK != at / WRITE_BACK)
                sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
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
    if (f->pipe && !f->why)
        f->why = ESPIPE;
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

int msagen_outfile_hash(struct msagen_outfile *f, unsigned char digest[32])
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    flush(f);
    for (uint64_t at = 0; at < f->size && !f->why;) {
        const ssize_t n = pread(f->fd, f->buffer, BUFFER, (off_t)at);
        if (n > 0) {
            sha256_update(&hash, (size_t)n, f->buffer);
            at += (uint64_t)n;
        } else if (n == 0 || errno != EINTR) {
            f->why = n == 0 ? EIO : errno;
        }
    }
    sha256_digest(&hash, SHA256_DIGEST_SIZE, digest);
    return f->why ? -1 : 0;
}

int msagen_sync(int fd)
{
    /* Some file systems have nothing to synchronise. */
    return fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS ? -1 : 0;
}

int msagen_outfile_finish(struct msagen_outfile *f, char *error, size_t error_bytes)
{
    flush(f);
    if (!f->why && f->lasting && f->temporary && msagen_sync(f->fd) != 0)
        f->why = errno;
    if (close(f->fd) != 0 && !f->why)
        f->why = errno;
    if (!f->why && f->temporary && rename(f->temporary, f->target) != 0)
        f->why = errno;
    const int why = f->why;
    if (why)
        snprintf(error, error_bytes, "%s: cannot be written: %s", f->path, strerror(why));
    leave(f);
    return why ? -1 : 0;
}

void msagen_outfile_abort(struct msagen_outfile *f)
{
    if (!f)
        return;
    close(f->fd);
    leave(f);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A file written in a temporary folder beside its target, synchronised, and renamed when complete: nobody ever sees
 * half of it. */
#ifndef MSAGEN_OUTFILE_H
#define MSAGEN_OUTFILE_H

#include <stddef.h>
#include <stdint.h>

struct msagen_outfile;

/* Creates a temporary folder in the target's (removed on signals, too), and the file in that. A target that is a link
 * stays one; a device or a pipe is written to, not replaced. NULL and a text that starts with `path` on failure. */
struct msagen_outfile *msagen_outfile_open(const char *path, char *error, size_t error_bytes);

/* Spares this file the synchronisation: for what can be made again and is verified when it is read. */
void msagen_outfile_passing(struct msagen_outfile *f);

/* Appends. After a failure further writes do nothing, and finish reports it. */
void msagen_outfile_write(struct msagen_outfile *f, const void *data, size_t bytes);

/* Overwrites bytes already appended; fails on a pipe. */
void msagen_outfile_patch(struct msagen_outfile *f, uint64_t at, const void *data, size_t bytes);

/* Bytes appended so far. */
uint64_t msagen_outfile_size(const struct msagen_outfile *f);

/* 1 once anything has failed. */
int msagen_outfile_failed(const struct msagen_outfile *f);

/* SHA-256 over all bytes as the file has them now; 0, or -1 where they cannot be read, which finish reports then. */
int msagen_outfile_hash(struct msagen_outfile *f, unsigned char digest[32]);

/* Synchronises, renames to the target and frees f. 0; or -1 with a text, the temporary file gone and the target as it
 * was. */
int msagen_outfile_finish(struct msagen_outfile *f, char *error, size_t error_bytes);

/* Removes the temporary file and frees f; NULL is allowed. */
void msagen_outfile_abort(struct msagen_outfile *f);

/* fsync, where a file system that cannot is no failure. 0, or -1 with errno. */
int msagen_sync(int fd);

#endif

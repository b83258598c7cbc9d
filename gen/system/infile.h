/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are read: regular ones only, opened without waiting, mapped or read whole, and watched while they are in
 * use. */
#ifndef MSAGEN_INFILE_H
#define MSAGEN_INFILE_H

#include "tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Opens a regular file for reading; never waits, neither for a pipe's other end nor for a device. The descriptor, with
 * *st filled in; or -1 and a text that starts with the path and says what was found instead. */
int msagen_infile_open(const char *path, struct stat *st, char *error, size_t error_bytes);

/* A file of at most `most` bytes as a buffer of our own. With `pipes`, the path may also lead to a pipe: it is read to
 * its end, which must come: a pipe that nobody writes to for a while is an error. NULL and a text as above. */
struct msagen_buffer *msagen_infile_read(const char *path, size_t most, bool pipes, char *error, size_t error_bytes);

/* A whole file mapped read-only, kept open; one reference. NULL and a text as above. An empty file gives 0 bytes.
 * Should the file become shorter, or the disk fail, the program ends with one line that names the file. */
struct msagen_buffer *msagen_buffer_map(const char *path, char *error, size_t error_bytes);

/* Small files as a copy, large ones mapped: for what is read once. */
struct msagen_buffer *msagen_infile_load(const char *path, char *error, size_t error_bytes);

/* Whether a map's file has another size or time of change than when it was opened; false for other buffers. */
bool msagen_buffer_changed(const struct msagen_buffer *buffer);

#endif

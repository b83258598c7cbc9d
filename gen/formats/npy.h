/* SPDX-License-Identifier: Apache-2.0 */
/* NPY files (versions 1 to 3), read in place and written. */
#ifndef MSAGEN_NPY_H
#define MSAGEN_NPY_H

#include "tensor.h"

/* A view of the bytes of a whole file, which are not trusted; `name` (the path) becomes the tensor's name and starts
 * error texts. Little-endian f2 f4 f8 i1 i2 i4 i8 u1 b1, C or Fortran order, at most 8 dimensions; the file ends where
 * the data does.
 * NULL and a text on failure. */
struct msagen_tensor *msagen_npy_parse(struct msagen_buffer *file, const char *name, char *error, size_t error_bytes);

/* The same of a file, mapped. */
struct msagen_tensor *msagen_npy_read(const char *path, char *error, size_t error_bytes);

/* Version 1.0, C order, data at a multiple of 64; any dtype but bf16. 0, or -1 and a text, the target untouched. */
int msagen_npy_write(const char *path, const struct msagen_tensor *t, char *error, size_t error_bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.h - the header of a .safetensors file, every claim of it checked; and such files written. */
#ifndef MSAGEN_SAFETENSORS_H
#define MSAGEN_SAFETENSORS_H

#include "outfile.h"
#include "tensor.h"

#include <stddef.h>
#include <stdint.h>

#define MSAGEN_SAFETENSORS_MAX_HEADER ((size_t)16 << 20)

struct msagen_safetensors_entry {
    char *name;
    enum msagen_dtype dtype;
    int dims;
    int64_t shape[MSAGEN_MAX_DIMS];     /* C order, no gaps */
    size_t at, bytes;                   /* in the file; inside it */
};

struct msagen_safetensors {
    struct msagen_safetensors_entry *entries;   /* in the header's order */
    size_t count;
    struct {
        char *key, *value;
    } *metadata;                                /* __metadata__, in the header's order */
    size_t metadata_count;
};

/* Read the header of a whole file in memory; the result keeps no pointer into it. NULL and a text in error when the
 * header is no JSON or is too large, a key occurs twice, a dtype is unknown, a size does not fit shape and dtype,
 * tensors overlap, leave holes or bytes at the end, or the file is truncated. */
struct msagen_safetensors *msagen_safetensors_read(const void *file, size_t bytes, char *error, size_t error_size);
void msagen_safetensors_free(struct msagen_safetensors *safetensors);

/* A tensor that is to be written, its values in C order. */
struct msagen_safetensors_item {
    const char *name; /* UTF-8, no two alike */
    enum msagen_dtype dtype;
    int dims;
    const int64_t *shape;
};

/* Appends the header of `count` tensors, whose values are to follow in their order without gaps.
 *   metadata  key, value, key, value, ..., NULL
 * 0, or -1 where memory is short. */
int msagen_safetensors_header(struct msagen_outfile *f, const struct msagen_safetensors_item *items, size_t count,
                              const char *const *metadata);

/* Writes a whole file. 0, or -1 and a text, the target untouched. */
int msagen_safetensors_write(const char *path, const char *const *names, const struct msagen_tensor *const *tensors,
                             size_t count, const char *const *metadata, char *error, size_t error_bytes);

#endif

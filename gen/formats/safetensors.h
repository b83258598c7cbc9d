/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.h - the header of a .safetensors file, every claim of it checked. */
#ifndef MSAGEN_SAFETENSORS_H
#define MSAGEN_SAFETENSORS_H

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

#endif

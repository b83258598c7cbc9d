/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - what must hold for a test of the API to begin, and memory as the API takes it. */
#ifndef MEMORY_H
#define MEMORY_H

#include "msa_model.h"

#include <stdio.h>
#include <stdlib.h>

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        exit(2);
    }
}

static inline void *aligned(size_t bytes)
{
    void *const p = aligned_alloc(MSA_ALIGNMENT, (bytes + MSA_ALIGNMENT - 1) / MSA_ALIGNMENT * MSA_ALIGNMENT);
    must(p != NULL, "out of memory");
    return p;
}

/* The weights of a file, which nobody frees. */
static inline void *weights_of(const char *path)
{
    FILE *const f = fopen(path, "rb");
    void *const p = aligned(MSA_MODEL_WEIGHTS_BYTES);
    must(f != NULL && fread(p, 1, MSA_MODEL_WEIGHTS_BYTES, f) == MSA_MODEL_WEIGHTS_BYTES, "the weights cannot be read");
    fclose(f);
    return p;
}

#endif

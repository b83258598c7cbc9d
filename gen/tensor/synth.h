/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic weights: every value is a function of the seed, the tensor's name and the index. */
#ifndef MSAGEN_SYNTH_H
#define MSAGEN_SYNTH_H

#include "tensor.h"

struct msagen_synth_tensor {
    const char *name;
    int dims;
    int64_t shape[MSAGEN_MAX_DIMS];
};

/* Values [first, first + count) of the tensor, C order. */
void msagen_synth_values(const struct msagen_synth_tensor *t, uint64_t seed, uint64_t first, size_t count, float *out);

/* Bytes [first, first + count) of the image that goes with the seed: u8, any shape in C order. */
void msagen_synth_image(uint64_t seed, uint64_t first, size_t count, unsigned char *out);

/* Called after each tensor. */
typedef void msagen_synth_progress(void *context, uint32_t done, uint32_t count);

/* Writes a .safetensors file of `count` f32 tensors in the order given, one chunk at a time; names are texts, and all
 * different. progress may be NULL. 0, or -1 and a text, the target untouched. */
int msagen_synth_write(const char *path, const struct msagen_synth_tensor *tensors, uint32_t count, uint64_t seed,
                       msagen_synth_progress *progress, void *context, char *error, size_t error_bytes);

#endif

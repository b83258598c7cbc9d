/* SPDX-License-Identifier: 0BSD */
/* msa_model.h - a model small enough to check by hand, for tests of session, harness and `run`: see layers.h. */
#ifndef MSA_MODEL_H
#define MSA_MODEL_H

#include "msa.h"

#define MSA_MODEL_INPUT_SIZE 64
#ifndef MSA_MODEL_DEPTH
#define MSA_MODEL_DEPTH 1
#endif
#define MSA_MODEL_GRID 4
#define MSA_MODEL_OUT 6
#define MSA_MODEL_MASKS 4
#define MSA_MODEL_MASK_SIDE 16
#define MSA_MODEL_MAX_POINTS 16
#define MSA_MODEL_TOKENS 24
#define MSA_MODEL_ARENA_BYTES 320000
#define MSA_MODEL_WEIGHTS_BYTES 832
#define MSA_MODEL_SEGMENTS 1
#define MSA_MODEL_LARGEST_SEGMENT 640
#define MSA_SLICES(bytes, max_bytes) (((bytes) + (max_bytes) / 64u * 64u - 1u) / ((max_bytes) / 64u * 64u))
#define MSA_ROUND_SLICES(max_bytes) MSA_SLICES(MSA_MODEL_WEIGHTS_BYTES, max_bytes)
#define MSA_FINDING_SLICES(max_bytes) (MSA_ROUND_SLICES(max_bytes) + MSA_SLICES(MSA_MODEL_LARGEST_SEGMENT, max_bytes))
#define MSA_MODEL_ARITHMETIC "f32-fma-1"
#define MSA_MODEL_STREAMED 0
#ifndef MSA_MODEL_RESIZE_LONGEST
#define MSA_MODEL_RESIZE_LONGEST 0
#endif
#ifndef MSA_MODEL_FIRST_CLASSES
#define MSA_MODEL_FIRST_CLASSES 0
#endif
#define MSA_MODEL_MASK_PROBABILITIES 0
#define MSA_MODEL_MASK_SQUARE 0
#define MSA_MODEL_MASK_ZERO_INSIDE 0
#define MSA_MODEL_MASK_BICUBIC 0
#define MSA_MODEL_CLICK_RC 0
#ifndef MSA_MODEL_CORES
#define MSA_MODEL_CORES 1
#endif
#define MSA_MODEL_BANKS 2
#define MSA_MODEL_TEXTS 2

#ifdef __cplusplus
extern "C" {
#endif

msa_status msa_open(msa_session *s, void *arena, size_t arena_bytes, const void *weights, size_t weights_bytes);
msa_status msa_encode(msa_session *s, const msa_image *image);
msa_status msa_segment(msa_session *s, const msa_prompt *prompt, msa_mask *mask);
msa_status msa_select_bank(msa_session *s, uint32_t bank);
msa_status msa_set_team(msa_session *s, void *team); /* MSA_MODEL_CORES > 1 */
msa_status msa_weights_check(msa_session *s, uint32_t segment, msa_segment_sum *sum);
msa_status msa_check_slice(msa_session *s, uint32_t max_bytes, msa_slice *slice);
msa_status msa_self_test(msa_session *s);
msa_status msa_get_embedding(const msa_session *s, float *out);

#ifdef __cplusplus
}
#endif

#endif

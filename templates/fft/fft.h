/* SPDX-License-Identifier: 0BSD */
/* msa_fft.h - $(what) of $(points) points, a line at a time or many.
 * $(made_by) */
#ifndef MSA_FFT_H
#define MSA_FFT_H

#include "msa.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSA_FFT_POINTS $(points)
#define MSA_FFT_LANES $(lanes)             /* lines that are transformed at a time */
#define MSA_FFT_IN $(input)                /* floats of a line: $(input_is) */
#define MSA_FFT_OUT $(output)              /* floats of its result: $(output_is) */
#define MSA_FFT_ARENA_BYTES $(arena_bytes)
#define MSA_FFT_WEIGHTS_BYTES $(blob.bytes)
#define MSA_FFT_ARITHMETIC "$(arithmetic)"
#define MSA_FFT_BOARD "$(board.name)"

/* $(formula)
 * A line's result does not depend on the others, nor on how many there are.
 *   weights  msa_weights.bin, MSA_FFT_WEIGHTS_BYTES, 64-byte aligned
 *   arena    MSA_FFT_ARENA_BYTES, 64-byte aligned
 *   in, out  [lines] of MSA_FFT_IN and MSA_FFT_OUT floats; they have nothing in common with each other or the arena
 * Returns MSA_OK; MSA_E_ARGUMENT, _ALIGNMENT, _OVERLAP, _ENVIRONMENT, _FLAGS, or what is wrong with the weights: `out`
 * is as before then. */
msa_status msa_fft_lines(const void *weights, void *arena, const float *in, float *out, size_t lines);

#ifdef __cplusplus
}
#endif

#endif

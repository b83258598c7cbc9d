/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of lower precision (docs/arithmetic.md): whole ones of -127 to 127 times a scale, as int8-dyn-1 has them, of
 * finite numbers; and those of 8 significant bits, as bf16-1 has them. */
#ifndef MSAGEN_QUANTISE_H
#define MSAGEN_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

/* Weights of one result, computed in double. @return the scale */
float msagen_quantise_channel(const float *w, size_t count, int8_t *q);

/* A row, as a device does it. @return the scale */
float msagen_quantise_row(const float *x, size_t count, int8_t *q);

/* x to the nearest number of 8 significant bits, of two as near the one that ends in 0; +0 below 2^-50; NaN where x is
 * not finite. */
float msagen_bf16(float x);

#endif

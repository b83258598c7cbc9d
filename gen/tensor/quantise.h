/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as whole ones of -127 to 127 times a scale, as int8-dyn-1 has them (docs/arithmetic.md). Finite numbers are
 * expected. */
#ifndef MSAGEN_QUANTISE_H
#define MSAGEN_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

/* Weights of one result, computed in double. @return the scale */
float msagen_quantise_channel(const float *w, size_t count, int8_t *q);

/* A row, as a device does it. @return the scale */
float msagen_quantise_row(const float *x, size_t count, int8_t *q);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Pillow's bicubic resize, bit for bit. */
#ifndef MSAGEN_BICUBIC_H
#define MSAGEN_BICUBIC_H

#include <stddef.h>
#include <stdint.h>

/* in [height][width][channels] to out [out_height][out_width][channels]; sides from 1 to 16384. Keys' cubic for
 * a = -0.5, widened where an axis shrinks; weights of 22 bits of fraction; rows first, rounded to bytes, then columns.
 * 0, or -1: out of memory. */
int msagen_bicubic(const uint8_t *in, size_t height, size_t width, size_t channels, size_t out_height, size_t out_width,
                   uint8_t *out);

#endif

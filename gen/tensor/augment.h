/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of pictures and masks for training, with the same bytes everywhere. */
#ifndef MSAGEN_AUGMENT_H
#define MSAGEN_AUGMENT_H

#include <stddef.h>
#include <stdint.h>

/* The longest side, and the largest number of a map. */
#define MSAGEN_AUGMENT_SIDE 16384
#define MSAGEN_AUGMENT_MOST 1e6

/* From where output pixel (x, y) takes its value: column (m[0] x + m[1] y) + m[2], row (m[3] x + m[4] y) + m[5] of the
 * input, in double, then rounded to 1/65536 of a pixel, halves up. Whole numbers are the pixels' middles. */
struct msagen_augment_map {
    double m[6];
};

/* One slice of bytes [height][width][channels], bilinear, what lies outside being 0: of four pixels, weights of whole
 * 1/65536 for each axis, the sum rounded to whole numbers, halves up. */
void msagen_augment_warp(const uint8_t *in, size_t height, size_t width, size_t channels,
                         const struct msagen_augment_map *map, uint8_t *out);

/* One slice of elements of so many bytes [height][width]: the nearest pixel, halves up, what lies outside being 0. */
void msagen_augment_nearest(const uint8_t *in, size_t height, size_t width, size_t bytes,
                            const struct msagen_augment_map *map, uint8_t *out);

/* What each of 256 levels becomes: v = level / 255; v^gamma (gamma > 0); times gain; plus shift; cut off to 0..1; times
 * 255, rounded, halves up. In double, powers by msagen_exp and msagen_log; a gamma of 1 leaves v as it is. */
void msagen_augment_curve(double gamma, double gain, double shift, uint8_t curve[256]);

#endif

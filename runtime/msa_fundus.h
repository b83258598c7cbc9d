/* SPDX-License-Identifier: 0BSD */
/* msa_fundus.h - pictures of the eye's ground on the device: their round field of view, local contrast. */
#ifndef MSA_FUNDUS_H
#define MSA_FUNDUS_H

#include "msa.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A rectangle of pixels, half open. */
typedef struct msa_box {
    uint32_t x0, y0, x1, y1;
} msa_box;

/* The field of view: rows and columns between the first and the last one of which red + green + blue is above 3 *
 * threshold in 1 % of the pixels at least.
 *   pixels  [height][width][3]
 *   work    2 * (width + height) numbers
 * MSA_OK, or MSA_E_FIELD where there is none, or none that is round: the first and the last row and column have their
 * bright pixels about the middle, and three fifths of the box are bright. Text in a corner is thus refused. */
msa_status msa_field_of_view(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t threshold, uint32_t *work,
                             msa_box *box);

/* A picture cut to a box, in its place: rows then follow each other without a gap. With `square` it is centred on black
 * in a square of the longer side.
 *   pixels  [height][width][channels]; room for the square
 *   shown   what the picture is then: its size, and where in the whole one its first pixel lies */
void msa_cut(uint8_t *pixels, uint32_t width, uint32_t channels, const msa_box *box, bool square, msa_picture *shown);

/* Contrast-limited adaptive histogram equalisation, as OpenCV's: tables of tiles x tiles parts of a picture, whose
 * sides are made whole multiples of a tile's by mirroring.
 *   pixels  of one channel, `step` bytes apart, rows width * step
 *   limit   pixels that one level of a tile may have: clip * a tile's pixels / 256, 1 at least
 *   tables  [tiles][tiles][256] */
void msa_clahe_tables(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step, uint32_t tiles,
                      uint32_t limit, uint8_t *tables);

/* Pixels by these tables, bilinear between tiles' centres; may be in their place. */
void msa_clahe_apply(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step, uint32_t tiles,
                     const uint8_t *tables, uint8_t *out, uint32_t out_step);

bool msa_fundus_as_written(float one, float many, float zero);

#ifdef __cplusplus
}
#endif

#endif

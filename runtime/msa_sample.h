/* SPDX-License-Identifier: 0BSD */
/* msa_sample.h - images to the model's size by interpolation between four pixels. */
#ifndef MSA_SAMPLE_H
#define MSA_SAMPLE_H

#include "msa_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row y of a slice of an image at side x side: bilinear, pixel centres (align_corners = false), without antialiasing.
 *   levels  [3][256], what a pixel's byte is worth in each colour
 *   row     [side][3]
 * Relies on: msa_image_check passed. */
void msa_sample_row(const msa_image *image, uint32_t slice, uint32_t side, uint32_t y, const float *levels, float *row);

bool msa_sample_as_written(float one, float many, float zero);

#ifdef __cplusplus
}
#endif

#endif

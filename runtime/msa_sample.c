/* SPDX-License-Identifier: 0BSD */
/* msa_sample.c - images to the model's size as PyTorch's bilinear interpolation has them, a row at a time. */
#include "msa_runtime.h"

void msa_sample_row(const msa_image *image, uint32_t slice, uint32_t side, uint32_t y, const float *levels, float *row)
{
    const msa_between down = msa_between_at(image->height, side, y);
    const uint8_t *const above = msa_image_row(image, slice, down.low, 0);
    const uint8_t *const below = down.high == down.low ? above : msa_image_row(image, slice, down.high, 1);
    for (uint32_t x = 0; x < side; ++x) {
        const msa_between b = msa_between_at(image->width, side, x);
        const size_t left = 3u * (size_t)b.low, right = 3u * (size_t)b.high;
        for (uint32_t c = 0; c < 3u; ++c) {
            const float *const of = levels + 256u * c;
            const float first = msa_blended(of[above[left + c]], of[above[right + c]], b.share);
            const float second = msa_blended(of[below[left + c]], of[below[right + c]], b.share);
            row[3u * (size_t)x + c] = msa_blended(first, second, down.share);
        }
    }
}

bool msa_sample_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

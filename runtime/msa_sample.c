/* SPDX-License-Identifier: 0BSD */
/* msa_sample.c - images to the model's size as PyTorch's bilinear interpolation has them, a row at a time. */
#include "msa_runtime.h"

/* Two neighbours and the second one's share. PyTorch's arithmetic: the scale is rounded to float32, the place is not.
 * */
typedef struct between {
    uint32_t low, high;
    float share;
} between;

static between between_at(uint32_t in, float scale, uint32_t at)
{
    between b;
    double source = (double)scale * ((double)at + 0.5) - 0.5;
    if (!(source > 0.0)) {
        source = 0.0;
    }
    b.low = (uint32_t)source;
    if (b.low > in - 1u) {
        b.low = in - 1u;
    }
    b.high = b.low < in - 1u ? b.low + 1u : b.low;
    b.share = (float)(source - (double)b.low);
    return b;
}

static float blended(float low, float high, float share)
{
    return low * (1.0f - share) + high * share;
}

void msa_sample_row(const msa_image *image, uint32_t slice, uint32_t side, uint32_t y, const float *levels, float *row)
{
    const float scale = (float)image->width / (float)side;
    const between down = between_at(image->height, (float)image->height / (float)side, y);
    const uint8_t *const pixels = image->pixels + (slice == 0 ? 0u : image->slice_stride * slice);
    const uint8_t *const above = pixels + (size_t)down.low * image->stride;
    const uint8_t *const below = pixels + (size_t)down.high * image->stride;
    for (uint32_t x = 0; x < side; ++x) {
        const between b = between_at(image->width, scale, x);
        const size_t left = 3u * (size_t)b.low, right = 3u * (size_t)b.high;
        for (uint32_t c = 0; c < 3u; ++c) {
            const float *const of = levels + 256u * c;
            const float first = blended(of[above[left + c]], of[above[right + c]], b.share);
            const float second = blended(of[below[left + c]], of[below[right + c]], b.share);
            row[3u * (size_t)x + c] = blended(first, second, down.share);
        }
    }
}

bool msa_sample_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

/* SPDX-License-Identifier: 0BSD */
/* msa_image.c - what an image must be, its size within the model's square, and places between pixels. */
#include "msa_runtime.h"

msa_status msa_image_check(const msa_image *image, uint32_t slices)
{
    if (image == NULL || image->pixels == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (image->width == 0 || image->width > MSA_MAX_SIDE || image->height == 0 || image->height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    const size_t row = (size_t)image->width * 3u;
    if (image->stride < row || image->stride > (SIZE_MAX - row) / image->height) {
        return MSA_E_IMAGE_STRIDE;
    }
    if (slices > 1 && image->slice_stride != 0) {
        const size_t slice = image->stride * (image->height - 1u) + row;
        if (image->slice_stride < slice || image->slice_stride > (SIZE_MAX - slice) / slices) {
            return MSA_E_IMAGE_STRIDE;
        }
    }
    return MSA_OK;
}

static uint32_t fitted(uint32_t length, uint32_t longest, uint32_t side)
{
    const uint32_t size = (uint32_t)((double)length * ((double)side / (double)longest) + 0.5);
    return size == 0 ? 1u : size;
}

void msa_resized_size(uint32_t width, uint32_t height, uint32_t side, bool longest,
                      uint32_t *out_width, uint32_t *out_height)
{
    const uint32_t length = width > height ? width : height;
    *out_width = longest ? fitted(width, length, side) : side;
    *out_height = longest ? fitted(height, length, side) : side;
}

msa_between msa_between_at(uint32_t in, uint32_t out, uint32_t at)
{
    msa_between b;
    const float scale = (float)in / (float)out;
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

bool msa_image_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

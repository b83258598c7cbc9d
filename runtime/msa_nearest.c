/* SPDX-License-Identifier: 0BSD */
/* msa_nearest.c - images to the model's size by the pixel at floor(i * in / out); rows streamed. (OpenCV's
 * INTER_NEAREST multiplies by a rounded scale: at some sizes it takes the pixel before, where i * in / out is whole.)
 */
#include "msa_runtime.h"

msa_status msa_nearest_init(msa_nearest *n, const msa_image *image, uint32_t slice,
                            uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes)
{
    (void)work;
    (void)work_bytes;
    if (out_width == 0u || out_width > MSA_MAX_SIDE || out_height == 0u || out_height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    n->image = image;
    n->slice = slice;
    n->width = image->width;
    n->height = image->height;
    n->out_width = out_width;
    n->out_height = out_height;
    n->next = 0;
    return MSA_OK;
}

void msa_nearest_row(msa_nearest *n, uint8_t *row)
{
    const uint8_t *const in = msa_image_row(n->image, n->slice, n->next * n->height / n->out_height, 0);
    for (uint32_t x = 0; x < n->out_width; ++x) {
        const uint8_t *const pixel = in + (size_t)3u * (x * n->width / n->out_width);
        for (uint32_t c = 0; c < 3u; ++c) {
            row[3u * x + c] = pixel[c];
        }
    }
    n->next += 1u;
}

bool msa_nearest_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

/* SPDX-License-Identifier: 0BSD */
/* msa_image.c - what an image must be, its size within the model's square, and places between pixels. */
#include "msa_runtime.h"

static bool is_wide(const msa_image *image)
{
    return image->format == MSA_PIXELS_GREY16 || image->format == MSA_PIXELS_GREY16_SIGNED;
}

/* False for NaN. */
static bool is_window(float low, float high)
{
    return high > low && high - low <= 3.0e38f;
}

/* Bytes of a row, or of one of its planes. */
static size_t row_bytes(const msa_image *image)
{
    return (size_t)image->width * (image->format == MSA_PIXELS_RGB ? 3u : is_wide(image) ? 2u : 1u);
}

static size_t plane_bytes(const msa_image *image)
{
    return image->stride * (image->height - 1u) + row_bytes(image);
}

static size_t slice_bytes(const msa_image *image)
{
    return plane_bytes(image) + (image->format == MSA_PIXELS_PLANAR ? 2u * image->plane_stride : 0u);
}

size_t msa_image_bytes(const msa_image *image, uint32_t slices)
{
    return image->format == MSA_PIXELS_ROWS ? 0u : (slices - 1u) * image->slice_stride + slice_bytes(image);
}

/* Rows, planes and slices that neither overlap nor go beyond what a size_t counts. */
static msa_status check_strides(const msa_image *image, uint32_t slices)
{
    const size_t row = row_bytes(image), most = SIZE_MAX / 4u;
    if (image->stride < row || image->stride > (most - row) / image->height) {
        return MSA_E_IMAGE_STRIDE;
    }
    if (image->format == MSA_PIXELS_PLANAR
        && (image->plane_stride < plane_bytes(image) || image->plane_stride > most)) {
        return MSA_E_IMAGE_STRIDE;
    }
    if (slices > 1u && image->slice_stride != 0u) {
        const size_t slice = slice_bytes(image);
        if (image->slice_stride < slice || image->slice_stride > (SIZE_MAX - slice) / slices) {
            return MSA_E_IMAGE_STRIDE;
        }
    }
    if (is_wide(image) && (((uintptr_t)image->pixels | image->stride | image->slice_stride) & 1u) != 0u) {
        return MSA_E_ALIGNMENT;
    }
    return MSA_OK;
}

msa_status msa_image_check(const msa_image *image, uint32_t slices)
{
    if (image == NULL || (uint32_t)image->format > (uint32_t)MSA_PIXELS_ROWS) {
        return MSA_E_ARGUMENT;
    }
    const bool by_rows = image->format == MSA_PIXELS_ROWS, made = !by_rows && image->format != MSA_PIXELS_RGB;
    if ((!by_rows && image->pixels == NULL) || (made && image->work == NULL)) {
        return MSA_E_ARGUMENT;
    }
    if (is_wide(image) && !is_window(image->window_low, image->window_high)) {
        return MSA_E_ARGUMENT;
    }
    if (image->width == 0u || image->width > MSA_MAX_SIDE || image->height == 0u || image->height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    if (by_rows) {
        return msa_image_line(image, 0, 0) != NULL ? MSA_OK : MSA_E_ARGUMENT;
    }
    return check_strides(image, slices);
}

msa_image msa_image_of_core(const msa_image *image, uint32_t core)
{
    msa_image own = *image;
    if (own.work != NULL) {
        own.work += MSA_IMAGE_WORK_BYTES(own.width, core);
    }
    return own;
}

/* In double, so that truncated levels are those of programs that compute so. */
static uint8_t windowed(const msa_image *image, int32_t value)
{
    const double low = (double)image->window_low, high = (double)image->window_high;
    const double inside = (double)value < low ? low : (double)value > high ? high : (double)value;
    const double level = (inside - low) / (high - low) * 255.0 + (image->truncate ? 0.0 : 0.5);
    return (uint8_t)(int32_t)level;
}

static int32_t wide_at(const msa_image *image, const uint8_t *from, size_t x)
{
    uint16_t bits;
    (void)memcpy(&bits, from + 2u * x, sizeof bits);
    return (int32_t)bits - (image->format == MSA_PIXELS_GREY16_SIGNED && bits > 0x7fffu ? 0x10000 : 0);
}

const uint8_t *msa_image_row(const msa_image *image, uint32_t slice, uint32_t y, uint32_t half)
{
    if (image->format == MSA_PIXELS_ROWS) {
        return msa_image_line(image, slice, y);
    }
    const size_t first = slice == 0u ? 0u : image->slice_stride * slice;
    const uint8_t *const from = image->pixels + first + (size_t)y * image->stride;
    if (image->format == MSA_PIXELS_RGB) {
        return from;
    }
    uint8_t *const row = image->work + (size_t)3u * image->width * half;
    for (size_t x = 0; x < image->width; ++x) {
        if (image->format == MSA_PIXELS_PLANAR) {
            for (size_t c = 0; c < 3u; ++c) {
                row[3u * x + c] = from[c * image->plane_stride + x];
            }
            continue;
        }
        const uint8_t level = is_wide(image) ? windowed(image, wide_at(image, from, x)) : from[x];
        row[3u * x] = level;
        row[3u * x + 1u] = level;
        row[3u * x + 2u] = level;
    }
    return row;
}

static uint32_t fitted(uint32_t length, uint32_t longest, uint32_t side)
{
    const double rounded = (double)length * ((double)side / (double)longest) + 0.5;
    const uint32_t size = (uint32_t)rounded;
    return size == 0u ? 1u : size;
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
    b.high = b.low < in - 1u ? b.low + 1u : b.low;
    b.share = (float)(source - (double)b.low);
    return b;
}

bool msa_image_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

/* SPDX-License-Identifier: 0BSD */
/* msa_resize.c - images to the model's size as Pillow resizes them (bilinear, over the area where an axis shrinks);
 * rows streamed. */
#include "msa_runtime.h"

/* Pillow's fixed point: 32 bits less 8 of the pixel and 2 of headroom. */
#define WEIGHT_BITS 22u
#define WEIGHT_ONE 4194304u /* 2^WEIGHT_BITS */

/* Output position `at` reads `count` inputs from `first`; its triangle's weights before normalisation sum to `sum`. */
typedef struct triangle {
    double centre, inverse, sum;
    uint32_t first, count;
} triangle;

static double triangle_value(const triangle *t, uint32_t k)
{
    const uint32_t place = k + t->first;
    double x = ((double)place - t->centre + 0.5) * t->inverse;
    if (x < 0.0) {
        x = -x;
    }
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* The order of operations is Pillow's: the weights' last bits depend on it. */
static triangle triangle_at(uint32_t in, uint32_t out, uint32_t at)
{
    triangle t;
    const double scale = (double)in / (double)out;
    const double support = scale < 1.0 ? 1.0 : scale;
    t.centre = ((double)at + 0.5) * scale;
    t.inverse = 1.0 / support;
    const double low = t.centre - support + 0.5, high = t.centre + support + 0.5;
    const int32_t first = (int32_t)low;
    t.first = first < 0 ? 0u : (uint32_t)first;
    const uint32_t end = (uint32_t)high;
    t.count = (end > in ? in : end) - t.first;
    t.sum = 0.0;
    for (uint32_t k = 0; k < t.count; ++k) {
        t.sum += triangle_value(&t, k);
    }
    return t;
}

static uint32_t triangle_weight(const triangle *t, uint32_t k)
{
    const double weight = 0.5 + triangle_value(t, k) / t->sum * (double)WEIGHT_ONE;
    return (uint32_t)weight;
}

/* At most 255: rounding adds at most a half to each of at most MSA_MAX_SIDE weights, 1/512 of WEIGHT_ONE in all. */
static uint8_t rounded(uint32_t sum)
{
    return (uint8_t)(sum >> WEIGHT_BITS);
}

msa_status msa_resize_init(msa_resizer *r, const msa_image *image, uint32_t slice,
                           uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes)
{
    if (out_width == 0u || out_width > MSA_MAX_SIDE || out_height == 0u || out_height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    r->image = image;
    r->slice = slice;
    r->width = image->width;
    r->height = image->height;
    r->out_width = out_width;
    r->out_height = out_height;
    r->next = 0;

    /* No window is wider than 2 * ceil(scale) + 1, nor than the image. */
    r->taps = 2u * ((image->width + out_width - 1u) / out_width) + 1u;
    if (r->taps > image->width) {
        r->taps = image->width;
    }
    const size_t weight_count = (size_t)out_width * r->taps;
    const size_t fixed = 4u * weight_count + 16u * (size_t)out_width;
    const size_t row = 3u * (size_t)out_width;
    if (work_bytes < fixed + row) {
        return MSA_E_ARENA;
    }
    const size_t slots = (work_bytes - fixed) / row;
    r->slots = slots > MSA_RESIZE_SLOTS ? MSA_RESIZE_SLOTS : (uint32_t)slots;

    uint32_t *const weights = (uint32_t *)work;
    uint16_t *const window = (uint16_t *)(void *)(weights + weight_count);
    r->weights = weights;
    r->window = window;
    r->sums = weights + weight_count + out_width;
    r->rows = (uint8_t *)(r->sums + 3u * (size_t)out_width);
    for (uint32_t x = 0; x < out_width; ++x) {
        const triangle t = triangle_at(r->width, out_width, x);
        window[2u * x] = (uint16_t)t.first;
        window[2u * x + 1u] = (uint16_t)t.count;
        for (uint32_t k = 0; k < t.count; ++k) {
            weights[(size_t)x * r->taps + k] = triangle_weight(&t, k);
        }
    }
    for (uint32_t i = 0; i < MSA_RESIZE_SLOTS; ++i) {
        r->held[i] = 0;
    }
    return MSA_OK;
}

/* Source row y at the output's width. */
static const uint8_t *horizontal(msa_resizer *r, uint32_t y)
{
    const uint32_t slot = y % r->slots;
    uint8_t *const out = r->rows + (size_t)slot * r->out_width * 3u;
    if (r->held[slot] == y + 1u) {
        return out;
    }
    r->held[slot] = y + 1u;
    const uint8_t *const in = msa_image_row(r->image, r->slice, y, 0);
    for (uint32_t x = 0; x < r->out_width; ++x) {
        const uint32_t *const weight = r->weights + (size_t)x * r->taps;
        const uint8_t *pixel = in + 3u * (size_t)r->window[2u * x];
        const uint32_t count = r->window[2u * x + 1u];
        uint32_t red = WEIGHT_ONE / 2u;
        uint32_t green = red;
        uint32_t blue = red;
        for (uint32_t k = 0; k < count; ++k) {
            red += weight[k] * pixel[0];
            green += weight[k] * pixel[1];
            blue += weight[k] * pixel[2];
            pixel += 3;
        }
        out[3u * x] = rounded(red);
        out[3u * x + 1u] = rounded(green);
        out[3u * x + 2u] = rounded(blue);
    }
    return out;
}

void msa_resize_row(msa_resizer *r, uint8_t *row)
{
    const size_t length = 3u * (size_t)r->out_width;
    const triangle t = triangle_at(r->height, r->out_height, r->next);
    r->next += 1u;
    for (size_t i = 0; i < length; ++i) {
        r->sums[i] = WEIGHT_ONE / 2u;
    }
    for (uint32_t k = 0; k < t.count; ++k) {
        const uint32_t weight = triangle_weight(&t, k);
        const uint8_t *const in = horizontal(r, t.first + k);
        for (size_t i = 0; i < length; ++i) {
            r->sums[i] += weight * in[i];
        }
    }
    for (size_t i = 0; i < length; ++i) {
        row[i] = rounded(r->sums[i]);
    }
}

bool msa_resize_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

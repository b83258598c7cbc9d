/* SPDX-License-Identifier: 0BSD */
/* msa_area.c - images to the model's size as OpenCV's INTER_AREA: the mean of what an output pixel covers where both
 * axes shrink, weighted in float, or in whole numbers where both scales are; else the linear interpolation that OpenCV
 * has in its place. Rows streamed. */
#include "msa_runtime.h"

#define LINEAR_ONE 2048.0f /* weights of the linear stand-in have 11 fractional bits */
#define EPSILON 2.220446049250313e-16

static uint32_t floor_of(double x)
{
    return (uint32_t)x;
}

static uint32_t ceiling_of(double x)
{
    const uint32_t low = floor_of(x);
    return (double)low < x ? low + 1u : low;
}

/* To the nearest whole number, ties to even; x is not negative. */
static uint32_t nearest_of(double x)
{
    const uint32_t low = floor_of(x);
    const double rest = x - (double)low;
    return rest > 0.5 || (rest >= 0.5 && (low & 1u) != 0u) ? low + 1u : low;
}

static uint8_t byte_of(float x)
{
    const uint32_t value = nearest_of((double)x);
    return (uint8_t)(value > 255u ? 255u : value);
}

/* Whether a scale is a whole number, which it then is. */
static uint32_t whole_of(double scale)
{
    const uint32_t whole = nearest_of(scale);
    const double off = scale - (double)whole;
    return off < EPSILON && off > -EPSILON ? whole : 0u;
}

msa_status msa_area_init(msa_area *a, const msa_image *image, uint32_t slice,
                         uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes)
{
    if (out_width == 0u || out_width > MSA_MAX_SIDE || out_height == 0u || out_height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    if (work_bytes < MSA_AREA_WORK_BYTES((size_t)out_width)) {
        return MSA_E_ARENA;
    }
    a->image = image;
    a->slice = slice;
    a->width = image->width;
    a->height = image->height;
    a->out_width = out_width;
    a->out_height = out_height;
    a->next = 0;
    a->scale_x = 1.0 / ((double)out_width / (double)image->width);
    a->scale_y = 1.0 / ((double)out_height / (double)image->height);
    a->shrinks = a->scale_x >= 1.0 && a->scale_y >= 1.0;
    a->whole_x = whole_of(a->scale_x);
    a->whole_y = whole_of(a->scale_y);
    if (a->whole_x == 0u || a->whole_y == 0u) {
        a->whole_x = 0;
    }
    a->sums = (float *)work;
    a->across = a->sums + 3u * (size_t)out_width;
    return MSA_OK;
}

/* What an output place covers of an axis: `whole` places from `first` on with one weight, and parts of those beside. */
typedef struct cover {
    uint32_t first, whole;
    float before, each, after; /* weights; 0: no such part */
} cover;

static cover cover_at(uint32_t in, double scale, uint32_t at)
{
    cover c;
    const double from = (double)at * scale, to = from + scale;
    const double width = scale < (double)in - from ? scale : (double)in - from;
    uint32_t first = ceiling_of(from), last = floor_of(to);
    last = last > in - 1u ? in - 1u : last;
    first = first > last ? last : first;
    const double before = (double)first - from, after = to - (double)last;
    const double part = after < 1.0 ? after : 1.0;
    const double before_share = before / width, each = 1.0 / width, after_share = (part < width ? part : width) / width;
    c.first = first;
    c.whole = last - first;
    c.before = before > 1e-3 ? (float)before_share : 0.0f;
    c.each = (float)each;
    c.after = after > 1e-3 ? (float)after_share : 0.0f;
    return c;
}

/* A source row at the output's width, to `across`. */
static void narrowed(const msa_area *a, uint32_t y)
{
    const uint8_t *const in = msa_image_row(a->image, a->slice, y, 0);
    for (uint32_t x = 0; x < a->out_width; ++x) {
        const cover c = cover_at(a->width, a->scale_x, x);
        for (uint32_t k = 0; k < 3u; ++k) {
            float sum = c.before > 0.0f ? (float)in[3u * (c.first - 1u) + k] * c.before : 0.0f;
            for (uint32_t i = 0; i < c.whole; ++i) {
                sum += (float)in[3u * (c.first + i) + k] * c.each;
            }
            if (c.after > 0.0f) {
                sum += (float)in[3u * (c.first + c.whole) + k] * c.after;
            }
            a->across[3u * x + k] = sum;
        }
    }
}

static void add_row(const msa_area *a, uint32_t y, float weight)
{
    if (weight > 0.0f) {
        narrowed(a, y);
        for (size_t i = 0; i < (size_t)a->out_width * 3u; ++i) {
            a->sums[i] += weight * a->across[i];
        }
    }
}

static void area_row(msa_area *a, uint8_t *row)
{
    const size_t length = 3u * (size_t)a->out_width;
    const cover c = cover_at(a->height, a->scale_y, a->next);
    for (size_t i = 0; i < length; ++i) {
        a->sums[i] = 0.0f;
    }
    add_row(a, c.first - (c.before > 0.0f ? 1u : 0u), c.before);
    for (uint32_t i = 0; i < c.whole; ++i) {
        add_row(a, c.first + i, c.each);
    }
    add_row(a, c.first + c.whole, c.after);
    for (size_t i = 0; i < length; ++i) {
        row[i] = byte_of(a->sums[i]);
    }
}

/* Scales that are whole numbers: sums of bytes. Of two by two, a half is rounded up. */
static void whole_row(const msa_area *a, uint8_t *row)
{
    const uint32_t area = a->whole_x * a->whole_y, length = 3u * a->out_width;
    uint32_t *const sums = (uint32_t *)(void *)a->sums;
    for (uint32_t i = 0; i < length; ++i) {
        sums[i] = 0;
    }
    for (uint32_t dy = 0; dy < a->whole_y; ++dy) {
        const uint8_t *in = msa_image_row(a->image, a->slice, a->next * a->whole_y + dy, 0);
        for (uint32_t i = 0; i < length * a->whole_x; ++i) {
            sums[i / (3u * a->whole_x) * 3u + i % 3u] += *in++;
        }
    }
    const bool quarter = a->whole_x == 2u && a->whole_y == 2u;
    for (uint32_t i = 0; i < length; ++i) {
        row[i] = quarter ? (uint8_t)((sums[i] + 2u) >> 2) : byte_of((float)sums[i] * (1.0f / (float)area));
    }
}

/* Where the linear stand-in reads: a place, the next one where there is one, and their weights. */
typedef struct linear_place {
    uint32_t low, high, low_weight, high_weight;
} linear_place;

static linear_place linear_at(uint32_t in, uint32_t out, double scale, uint32_t at)
{
    linear_place b;
    const double inverse = (double)out / (double)in;
    b.low = floor_of((double)at * scale);
    const uint32_t after = at + 1u, after_low = b.low + 1u;
    const double from_low = (double)after - (double)after_low * inverse;
    const float place = (float)from_low;
    const float share = place > 0.0f ? place - (float)floor_of((double)place) : 0.0f;
    b.low = b.low > in - 1u ? in - 1u : b.low;
    b.high = b.low < in - 1u ? b.low + 1u : b.low;
    b.low_weight = nearest_of((double)((1.0f - share) * LINEAR_ONE));
    b.high_weight = nearest_of((double)(share * LINEAR_ONE));
    return b;
}

static void linear_row(const msa_area *a, uint8_t *row)
{
    const linear_place v = linear_at(a->height, a->out_height, a->scale_y, a->next);
    const uint8_t *const low = msa_image_row(a->image, a->slice, v.low, 0);
    const uint8_t *const high = v.high == v.low ? low : msa_image_row(a->image, a->slice, v.high, 1);
    for (uint32_t x = 0; x < a->out_width; ++x) {
        linear_place h = linear_at(a->width, a->out_width, a->scale_x, x);
        if (h.low == h.high) { /* along a row, not across rows, the last place has the whole weight */
            h.low_weight = (uint32_t)LINEAR_ONE;
            h.high_weight = 0u;
        }
        for (uint32_t k = 0; k < 3u; ++k) {
            const uint32_t above = low[3u * h.low + k] * h.low_weight + low[3u * h.high + k] * h.high_weight;
            const uint32_t below = high[3u * h.low + k] * h.low_weight + high[3u * h.high + k] * h.high_weight;
            row[3u * x + k] = (uint8_t)((((v.low_weight * (above >> 4)) >> 16)
                + ((v.high_weight * (below >> 4)) >> 16) + 2u) >> 2);
        }
    }
}

void msa_area_row(msa_area *a, uint8_t *row)
{
    if (!a->shrinks) {
        linear_row(a, row);
    } else if (a->whole_x != 0u) {
        whole_row(a, row);
    } else {
        area_row(a, row);
    }
    a->next += 1u;
}

bool msa_area_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

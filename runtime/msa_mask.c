/* SPDX-License-Identifier: 0BSD */
/* msa_mask.c - a mask as bits, its area and its outline. */
#include "msa_runtime.h"

uint32_t msa_mask_bits(msa_upsampler *u, bool zero_inside, float *row, uint8_t *bits)
{
    const size_t bytes = MSA_MASK_ROW_BYTES(u->width);
    const float least = u->probabilities ? 0.5f : 0.0f;
    uint32_t area = 0;
    for (uint32_t y = 0; y < u->height; ++y) {
        uint8_t *const to = bits + y * bytes;
        msa_upsample_row(u, y, row);
        for (size_t i = 0; i < bytes; ++i) {
            to[i] = 0;
        }
        for (uint32_t x = 0; x < u->width; ++x) {
            if (row[x] > least || (zero_inside && !(row[x] < 0.0f) && !(row[x] > 0.0f))) {
                to[x / 8u] = (uint8_t)(to[x / 8u] | (1u << (x % 8u)));
                area += 1u;
            }
        }
    }
    return area;
}

/* A mask, and which left sides of its pixels have been walked along. */
typedef struct grid {
    const uint8_t *bits;
    uint8_t *walked;
    uint32_t width, height;
} grid;

static bool bit_at(const grid *g, const uint8_t *bits, int32_t x, int32_t y)
{
    if (x < 0 || y < 0 || x >= (int32_t)g->width || y >= (int32_t)g->height) {
        return false;
    }
    return ((bits[(size_t)y * MSA_MASK_ROW_BYTES(g->width) + (size_t)x / 8u] >> ((uint32_t)x % 8u)) & 1u) != 0u;
}

/* A closed walk along the left side of pixel (x, y) upwards and on, the mask always to the right: so outer outlines are
 * walked clockwise, seen with y down. Corners up to `capacity` are kept. */
static msa_outline walk(const grid *g, uint32_t x, uint32_t y, msa_corner *corners, uint32_t capacity)
{
    /* Headings: right, down, left, up. Of a corner the pixels to the right and to the left of what is ahead. */
    static const int8_t step_x[4] = {1, 0, -1, 0}, step_y[4] = {0, 1, 0, -1};
    static const int8_t right_x[4] = {0, -1, -1, 0}, right_y[4] = {0, 0, -1, -1};
    static const int8_t left_x[4] = {0, 0, -1, -1}, left_y[4] = {-1, 0, 0, -1};
    const int32_t from_x = (int32_t)x, from_y = (int32_t)y + 1;
    msa_outline made = {0, 0};
    int32_t at_x = from_x, at_y = from_y;
    uint32_t heading = 3u;
    do {
        at_x += step_x[heading];
        at_y += step_y[heading];
        made.area += (int64_t)step_y[heading] * at_x;
        if (heading == 3u) {
            const size_t at = (size_t)at_y * MSA_MASK_ROW_BYTES(g->width) + (size_t)at_x / 8u;
            g->walked[at] = (uint8_t)(g->walked[at] | (1u << ((uint32_t)at_x % 8u)));
        }
        const bool right = bit_at(g, g->bits, at_x + right_x[heading], at_y + right_y[heading]);
        const bool left = bit_at(g, g->bits, at_x + left_x[heading], at_y + left_y[heading]);
        if (!right || left) {
            if (made.count < capacity) {
                corners[made.count].x = (uint32_t)at_x;
                corners[made.count].y = (uint32_t)at_y;
            }
            made.count += 1u;
            heading = (heading + (right ? 3u : 1u)) % 4u;
        }
    } while (at_x != from_x || at_y != from_y || heading != 3u);
    return made;
}

msa_status msa_contour(const uint8_t *bits, uint32_t width, uint32_t height, uint8_t *work, msa_corner *corners,
                       uint32_t capacity, msa_outline *outline)
{
    if (bits == NULL || work == NULL || outline == NULL || (corners == NULL && capacity > 0u)) {
        return MSA_E_ARGUMENT;
    }
    if (width == 0u || width > MSA_MAX_SIDE || height == 0u || height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    const grid g = {bits, work, width, height};
    msa_outline most = {0, 0};
    uint32_t most_x = 0, most_y = 0;
    for (size_t i = 0; i < MSA_MASK_ROW_BYTES(width) * height; ++i) {
        work[i] = 0;
    }
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            const int32_t column = (int32_t)x, row = (int32_t)y;
            if (bit_at(&g, bits, column, row) && !bit_at(&g, bits, column - 1, row) && !bit_at(&g, work, column, row)) {
                const msa_outline one = walk(&g, x, y, corners, 0);
                if (one.area > most.area) {
                    most = one;
                    most_x = x;
                    most_y = y;
                }
            }
        }
    }
    *outline = most;
    if (most.count > 0u) {
        (void)walk(&g, most_x, most_y, corners, capacity);
    }
    return most.count > capacity ? MSA_E_CAPACITY : MSA_OK;
}

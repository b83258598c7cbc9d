/* SPDX-License-Identifier: 0BSD */
/* msa_range.c - the bytes of a resized picture to [0,1] by its own smallest and largest. */
#include "msa_runtime.h"

void msa_range_add(msa_range *range, const uint8_t *row, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        range->low = row[i] < range->low ? row[i] : range->low;
        range->high = row[i] > range->high ? row[i] : range->high;
    }
}

void msa_range_levels(const msa_range *range, float *levels)
{
    const int32_t levels_apart = (int32_t)range->high - (int32_t)range->low;
    const float extent = levels_apart > 0 ? (float)levels_apart : 1.0f;
    for (uint32_t v = 0; v < 256u; ++v) {
        const float level = ((float)v - (float)range->low) / extent;
        levels[v] = level;
        levels[256u + v] = level;
        levels[512u + v] = level;
    }
}

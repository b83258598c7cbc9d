/* SPDX-License-Identifier: 0BSD */
/* msa_fundus.c - the round field of view of a picture of the eye's ground; contrast-limited equalisation. */
#include "msa_fundus.h"
#include "msa_arith.h"

void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

/* Of a side: the first and the last place where `count` is a hundredth of the other side at least; true if there is
 * one. */
static bool ends(const uint32_t *count, uint32_t places, uint32_t other, uint32_t *first, uint32_t *end)
{
    *first = places;
    *end = 0;
    for (uint32_t i = 0; i < places; ++i) {
        if ((uint64_t)count[i] * 100u >= other) {
            *first = *first == places ? i : *first;
            *end = i + 1u;
        }
    }
    return *end > 0;
}

/* Whether the bright pixels of a row or column lie about the middle of [low, high): their mean is within a sixth. */
static bool central(uint32_t count, uint32_t sum, uint32_t low, uint32_t high)
{
    const int64_t twice_off = 2 * (int64_t)sum - (int64_t)count * ((int64_t)low + (int64_t)high - 1);
    const uint32_t length = high - low;
    const int64_t most = (int64_t)count * (int64_t)length / 3;
    return twice_off <= most && -twice_off <= most;
}

msa_status msa_field_of_view(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t threshold, uint32_t *work,
                             msa_box *box)
{
    uint32_t *const in_row = work, *const in_column = work + height;
    uint32_t *const along_row = in_column + width, *const along_column = along_row + height; /* sums of places */
    (void)memset(work, 0, 2u * ((size_t)width + height) * sizeof *work);
    uint64_t bright = 0;
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            if ((uint32_t)pixels[0] + pixels[1] + pixels[2] > 3u * threshold) {
                in_row[y] += 1u;
                in_column[x] += 1u;
                along_row[y] += x;
                along_column[x] += y;
                bright += 1u;
            }
            pixels += 3;
        }
    }
    if (!ends(in_row, height, width, &box->y0, &box->y1) || !ends(in_column, width, height, &box->x0, &box->x1)) {
        return MSA_E_FIELD;
    }
    const uint32_t top = box->y0, bottom = box->y1 - 1u, left = box->x0, right = box->x1 - 1u;
    const uint64_t area = (uint64_t)(box->y1 - top) * (box->x1 - left);
    return bright * 5u >= area * 3u && central(in_row[top], along_row[top], left, box->x1)
            && central(in_row[bottom], along_row[bottom], left, box->x1)
            && central(in_column[left], along_column[left], top, box->y1)
            && central(in_column[right], along_column[right], top, box->y1) ? MSA_OK : MSA_E_FIELD;
}

void msa_cut(uint8_t *pixels, uint32_t width, uint32_t channels, const msa_box *box, bool square, msa_picture *shown)
{
    const uint32_t w = box->x1 - box->x0, h = box->y1 - box->y0, side = w > h ? w : h;
    const size_t row = (size_t)w * channels, wide = (size_t)width * channels;
    for (uint32_t y = 0; y < h; ++y) {
        (void)memmove(pixels + y * row, pixels + (box->y0 + y) * wide + (size_t)box->x0 * channels, row);
    }
    shown->width = w;
    shown->height = h;
    shown->x = (int32_t)box->x0;
    shown->y = (int32_t)box->y0;
    if (!square) {
        return;
    }
    const uint32_t dx = (side - w) / 2u, dy = (side - h) / 2u;
    const size_t line = (size_t)side * channels, before = (size_t)dx * channels;
    for (uint32_t y = h; y-- > 0u;) { /* from the last one on: each goes to its own place or behind */
        uint8_t *const to = pixels + ((size_t)dy + y) * line;
        (void)memmove(to + before, pixels + y * row, row);
        (void)memset(to, 0, before);
        (void)memset(to + before + row, 0, line - before - row);
    }
    (void)memset(pixels, 0, dy * line);
    (void)memset(pixels + ((size_t)dy + h) * line, 0, ((size_t)side - dy - h) * line);
    shown->width = side;
    shown->height = side;
    shown->x -= (int32_t)dx;
    shown->y -= (int32_t)dy;
}

static uint32_t mirrored(uint32_t at, uint32_t count)
{
    return at < count ? at : count < 2u ? 0u : 2u * (count - 1u) - at;
}

/* Levels above the limit are spread over all, what is left over those a distance apart. */
static void limit_levels(uint32_t level[256], uint32_t limit)
{
    uint32_t excess = 0;
    for (uint32_t i = 0; i < 256u; ++i) {
        excess += level[i] > limit ? level[i] - limit : 0u;
        level[i] = level[i] < limit ? level[i] : limit;
    }
    for (uint32_t i = 0; i < 256u; ++i) {
        level[i] += excess / 256u;
    }
    uint32_t rest = excess % 256u;
    const uint32_t step = rest == 0u ? 256u : 256u / rest;
    for (uint32_t i = 0; i < 256u && rest > 0u; i += step) {
        level[i] += 1u;
        rest -= 1u;
    }
}

/* To the nearest whole number, halves to even. */
static uint8_t rounded(float x)
{
    const float t = msa_min(x, 255.0f) + MSA_EXP_ROUND;
    return (uint8_t)(int32_t)(t - MSA_EXP_ROUND);
}

void msa_clahe_tables(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step, uint32_t tiles,
                      uint32_t limit, uint8_t *tables)
{
    const uint32_t tile_width = (width + tiles - 1u) / tiles, tile_height = (height + tiles - 1u) / tiles;
    const uint32_t tile_pixels = tile_width * tile_height;
    const float scale = 255.0f / (float)tile_pixels;
    for (uint32_t t = 0; t < tiles * tiles; ++t) {
        uint32_t level[256];
        (void)memset(level, 0, sizeof level);
        for (uint32_t y = 0; y < tile_height; ++y) {
            const uint8_t *const row = pixels
                + (size_t)mirrored(t / tiles * tile_height + y, height) * width * step;
            for (uint32_t x = 0; x < tile_width; ++x) {
                level[row[(size_t)mirrored(t % tiles * tile_width + x, width) * step]] += 1u;
            }
        }
        limit_levels(level, limit);
        uint32_t sum = 0;
        for (uint32_t i = 0; i < 256u; ++i) {
            sum += level[i];
            tables[t * 256u + i] = rounded((float)sum * scale);
        }
    }
}

/* The two tiles about a pixel, and the second one's share. */
static float between(uint32_t at, uint32_t tile, uint32_t tiles, uint32_t *low, uint32_t *high)
{
    const float place = (float)(((double)at / (double)tile) - 0.5);
    const int32_t first = place < 0.0f ? -1 : (int32_t)place;
    *low = first < 0 ? 0u : (uint32_t)first;
    const int32_t second = first + 1;
    *high = second < (int32_t)tiles ? (uint32_t)second : tiles - 1u;
    return place - (float)first;
}

void msa_clahe_apply(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step, uint32_t tiles,
                     const uint8_t *tables, uint8_t *out, uint32_t out_step)
{
    const uint32_t tile_width = (width + tiles - 1u) / tiles, tile_height = (height + tiles - 1u) / tiles;
    for (uint32_t y = 0; y < height; ++y) {
        uint32_t top, bottom, left, right;
        const float below = between(y, tile_height, tiles, &top, &bottom);
        for (uint32_t x = 0; x < width; ++x) {
            const float beside = between(x, tile_width, tiles, &left, &right);
            const uint8_t *const table = tables + *pixels;
            const float a = (float)table[(top * tiles + left) * 256u], b = (float)table[(top * tiles + right) * 256u];
            const float c = (float)table[(bottom * tiles + left) * 256u];
            const float d = (float)table[(bottom * tiles + right) * 256u];
            const float upper = a * (1.0f - beside) + b * beside, lower = c * (1.0f - beside) + d * beside;
            *out = rounded(upper * (1.0f - below) + lower * below);
            pixels += step;
            out += out_step;
        }
    }
}

bool msa_fundus_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

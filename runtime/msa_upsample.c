/* SPDX-License-Identifier: 0BSD */
/* msa_upsample.c - logits, or their probabilities, to the image's size by bilinear interpolation as PyTorch has it;
 * rows streamed. */
#include "msa_runtime.h"

/* One output row of in_width x in_height -> out_width x out_height, given the two input rows that it lies between. */
static void blend_row(const float *low, const float *high, float share, uint32_t in_width,
                      uint32_t out_width, uint32_t count, float *row)
{
    for (uint32_t x = 0; x < count; ++x) {
        const msa_between b = msa_between_at(in_width, out_width, x);
        const float above = msa_blended(low[b.low], low[b.high], b.share);
        const float below = msa_blended(high[b.low], high[b.high], b.share);
        row[x] = msa_blended(above, below, share);
    }
}

void msa_upsample_init(msa_upsampler *u, const float *logits, uint32_t side, uint32_t square,
                       uint32_t width, uint32_t height, float *rows)
{
    u->logits = logits;
    u->rows = rows;
    u->side = side;
    u->square = square;
    u->width = width;
    u->height = height;
    u->inner_width = side;
    u->inner_height = side;
    if (square != 0u) {
        msa_resized_size(width, height, square, true, &u->inner_width, &u->inner_height);
    }
    u->held[0] = 0;
    u->held[1] = 0;
    u->probabilities = false;
}

void msa_upsample_probabilities(msa_upsampler *u)
{
    u->probabilities = true;
}

void msa_upsample_squashed(msa_upsampler *u)
{
    u->inner_width = u->square;
    u->inner_height = u->square;
}

/* 1 / (1 + e^-x), of whose two forms none overflows. */
static float probability(float x)
{
    const float e = msa_exp(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* Row y of the logits, or of their probabilities. */
static const float *small_row(msa_upsampler *u, uint32_t y)
{
    const float *const in = u->logits + (size_t)y * u->side;
    if (!u->probabilities) {
        return in;
    }
    float *const row = u->rows + ((size_t)y & 1u) * u->side;
    if (u->held[y & 1u] != y + 1u) {
        for (uint32_t x = 0; x < u->side; ++x) {
            row[x] = probability(in[x]);
        }
        u->held[y & 1u] = y + 1u;
    }
    return row;
}

/* Row y of the logits at the square's size, cropped to the image. */
static const float *square_row(msa_upsampler *u, uint32_t y)
{
    if (u->square == 0u) {
        return small_row(u, y);
    }
    float *const row = u->rows + ((size_t)y & 1u) * u->square;
    if (u->held[y & 1u] != y + 1u) {
        const msa_between b = msa_between_at(u->side, u->square, y);
        blend_row(u->logits + (size_t)b.low * u->side, u->logits + (size_t)b.high * u->side, b.share,
                  u->side, u->square, u->inner_width, row);
        u->held[y & 1u] = y + 1u;
    }
    return row;
}

void msa_upsample_row(msa_upsampler *u, uint32_t y, float *row)
{
    const msa_between b = msa_between_at(u->inner_height, u->height, y);
    const float *const low = square_row(u, b.low);
    const float *const high = square_row(u, b.high);
    blend_row(low, high, b.share, u->inner_width, u->width, u->width, row);
}

bool msa_upsample_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

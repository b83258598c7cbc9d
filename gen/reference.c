/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of a class of arithmetic: the definition in plain loops, in no way shaped like the generated ones.
 * Compiled once for each class: reference_muladd.c includes this file; reference_native.c does for this machine's own
 * multiply-adds. */
#include "reference.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "msa_arith.h"

#if !MSA_ARITHMETIC_MULADD && !defined REFERENCE_NATIVE
void msagen_reference_pattern(uint32_t first, size_t n, float *x)
{
    for (size_t i = 0; i < n; ++i) {
        uint32_t z = (first + (uint32_t)i) * 0x9e3779b9u;
        z = (z ^ z >> 16) * 0x85ebca6bu;
        z = (z ^ z >> 13) * 0xc2b2ae35u;
        z ^= z >> 16;
        x[i] = (float)(int32_t)(z >> 8) * (1.0f / 8388608.0f) - 1.0f;
    }
}
#endif

#if !MSA_ARITHMETIC_MULADD && !defined REFERENCE_NATIVE
float msagen_reference_packed(float w)
{
    return fabsf(w) < 0x1p-60f ? 0.0f : w;
}
#endif

static float packed_weight(float w)
{
    return fabsf(w) < 0x1p-60f ? 0.0f : w;
}

/* 16 columns of one row, from what sum holds: p is [K][16]. */
static void chains(const float *restrict x, const float *restrict p, float *restrict sum, size_t K)
{
    float chain[16];
    memcpy(chain, sum, sizeof chain);
    for (size_t k = 0; k < K; ++k)
        for (size_t j = 0; j < 16; ++j)
            chain[j] = msa_fma(x[k], p[k * 16 + j], chain[j]);
    memcpy(sum, chain, sizeof chain);
}

static int reference_linear(const float *x, const float *w, const float *bias, const float *first, int packed, float *y,
    size_t M, size_t N, size_t K)
{
    float *panel = malloc((K > 0 ? K : 1) * 16 * sizeof *panel);
    if (!panel)
        return -1;
    for (size_t n = 0; n < N; n += 16) {
        const size_t columns = N - n < 16 ? N - n : 16;
        for (size_t k = 0; k < K; ++k)
            for (size_t j = 0; j < 16; ++j) {
                const float value = j < columns ? w[(n + j) * K + k] : 0.0f;
                panel[k * 16 + j] = packed ? packed_weight(value) : value;
            }
        for (size_t m = 0; m < M; ++m) {
            float sum[16] = {0};
            if (first)
                memcpy(sum, first + m * N + n, columns * sizeof *sum);
            chains(x + m * K, panel, sum, K);
            for (size_t j = 0; j < columns; ++j)
                y[m * N + n + j] = bias ? sum[j] + packed_weight(bias[n + j]) : sum[j];
        }
    }
    free(panel);
    return 0;
}

static float tree_sum(const float p[16])
{
    float t[16];
    memcpy(t, p, sizeof t);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; ++i)
            t[i] = t[i] + t[i + half];
    return t[0];
}

static void reference_layernorm(const float *x, const float *gamma, const float *beta, float eps, float *y, size_t M,
    size_t C)
{
    for (size_t m = 0; m < M; ++m) {
        float part[16] = {0};
        for (size_t c = 0; c < C; ++c)
            part[c % 16] = part[c % 16] + x[m * C + c];
        const float mean = tree_sum(part) / (float)C;
        memset(part, 0, sizeof part);
        for (size_t c = 0; c < C; ++c) {
            const float d = x[m * C + c] - mean;
            part[c % 16] = msa_fma(d, d, part[c % 16]);
        }
        const float rstd = 1.0f / msa_sqrt(tree_sum(part) / (float)C + eps);
        for (size_t c = 0; c < C; ++c)
            y[m * C + c] = msa_fma((x[m * C + c] - mean) * rstd, packed_weight(gamma[c]), packed_weight(beta[c]));
    }
}

/* One query of one head, d wide: its running maximum and sum, and the sums of values. */
struct state {
    float top, total;
    float *acc, *s; /* (d); logits of a tile */
};

/* exp of `count` logits in place. @return their sum; alpha is what everything before is worth now */
static float weights_of(struct state *t, size_t count, float *alpha)
{
    float highest = -FLT_MAX, part[16] = {0};
    for (size_t i = 0; i < count; ++i)
        highest = msa_max(highest, t->s[i]);
    const float higher = msa_max(t->top, highest);
    *alpha = msa_exp(t->top - higher);
    t->top = higher;
    for (size_t i = 0; i < count; ++i) {
        t->s[i] = msa_exp(t->s[i] - higher);
        part[i % 16] = part[i % 16] + t->s[i];
    }
    return tree_sum(part);
}

static float dot(const float *a, const float *b, size_t d, float sum)
{
    for (size_t c = 0; c < d; ++c)
        sum = msa_fma(a[c], b[c], sum);
    return sum;
}

/* The places without keys, as one more tile: those right of the keys row by row, then the rows below. They share key
 * and value. */
static void attend_padding(struct state *t, const float *q, const float *k_pad, const float *v_pad, size_t d,
    size_t rows, const struct msagen_grid *g,
                           const float *by_row, const float *by_column)
{
    const float same = dot(q, k_pad, d, 0.0f);
    size_t count = 0;
    for (size_t y = 0; y < g->height; ++y)
        for (size_t x = y < rows ? g->row : 0; x < g->width; ++x)
            t->s[count++] = by_row ? (by_row[y] + by_column[x]) + same : same;
    float alpha;
    if (count == 0)
        return;
    const float weight = weights_of(t, count, &alpha);
    t->total = msa_fma(t->total, alpha, weight);
    for (size_t c = 0; c < d; ++c)
        t->acc[c] = msa_fma(weight, v_pad[c], t->acc[c] * alpha);
}

static void attend(struct state *t, const float *q, const float *k, const float *v, size_t N, size_t C, size_t d,
    size_t tile, size_t count,
                   const struct msagen_grid *g, const float *by_row, const float *by_column)
{
    t->top = -FLT_MAX;
    t->total = 0.0f;
    for (size_t first = 0; first < N; first += tile) {
        const size_t keys = N - first < tile ? N - first : tile;
        for (size_t i = 0; i < keys; ++i) {
            const size_t key = first + i;
            const float from = by_row ? by_row[key / g->row] + by_column[key % g->row] : 0.0f;
            t->s[i] = key < count ? dot(q, k + key * C, d, from) : -FLT_MAX;
        }
        float alpha;
        const float weight = weights_of(t, keys, &alpha);
        t->total = msa_fma(t->total, alpha, weight);
        for (size_t c = 0; c < d; ++c)
            t->acc[c] = first == 0 ? 0.0f : t->acc[c] * alpha;
        for (size_t i = 0; i < keys; ++i)
            for (size_t c = 0; c < d; ++c)
                t->acc[c] = msa_fma(t->s[i], v[(first + i) * C + c], t->acc[c]);
    }
}

/* r (length) = q . table[at - j + length - 1] over j. */
static void relative(const float *q, const float *table, size_t at, size_t length, size_t d, float *r)
{
    for (size_t j = 0; j < length; ++j) {
        float sum = 0.0f;
        for (size_t c = 0; c < d; ++c)
            sum = msa_fma(q[c], packed_weight(table[(at + length - 1 - j) * d + c]), sum);
        r[j] = sum;
    }
}

static int reference_attention(const float *q, const float *k, const float *v, float *out, size_t M, size_t N, size_t C,
    size_t heads, size_t tile, size_t count,
                               const struct msagen_grid *grid)
{
    const size_t d = C / heads, places = grid ? grid->height * grid->width : 0,
        sides = grid ? grid->height + grid->width : 0;
    float *work = malloc(((tile > places ? tile : places) + 2 * d + sides) * sizeof *work);
    if (!work)
        return -1;
    float *scaled = work, *by_row = scaled + d, *by_column = by_row + (grid ? grid->height : 0);
    struct state t = {0.0f, 0.0f, work + d + sides, work + 2 * d + sides};
    const float scale = (float)(1.0 / sqrt((double)d));
    const int positions = grid && grid->rel_h && grid->rel_w;
    for (size_t m = 0; m < M; ++m)
        for (size_t h = 0; h < heads; ++h) {
            const float *qh = q + m * C + h * d;
            if (positions) {
                relative(qh, grid->rel_h, grid->place[m] / grid->width, grid->height, d, by_row);
                relative(qh, grid->rel_w, grid->place[m] % grid->width, grid->width, d, by_column);
            }
            for (size_t c = 0; c < d; ++c)
                scaled[c] = qh[c] * scale;
            attend(&t, scaled, k + h * d, v + h * d, N, C, d, tile, count, grid, positions ? by_row : NULL, by_column);
            if (grid && grid->k_pad)
                attend_padding(&t, scaled, grid->k_pad + h * d, grid->v_pad + h * d, d, N / grid->row, grid,
                    positions ? by_row : NULL, by_column);
            for (size_t c = 0; c < d; ++c)
                out[m * C + h * d + c] = t.acc[c] / t.total;
        }
    free(work);
    return 0;
}

static void reference_features(const float *xy, size_t count, const float *gaussian, size_t E, float *out)
{
    const size_t half = E / 2;
    for (size_t i = 0; i < count; ++i)
        for (size_t k = 0; k < half; ++k) {
            const float angle = msa_fma(xy[2 * i + 1], gaussian[half + k],
                xy[2 * i] * gaussian[k]) * 6.28318530717958648f;
            out[i * E + k] = msa_sin(angle);
            out[i * E + half + k] = msa_cos(angle);
        }
}

static float reference_gelu(float x) { return msa_gelu(x); }
static float reference_fma(float a, float b, float c) { return msa_fma(a, b, c); }

#if MSA_ARITHMETIC_MULADD
const struct msagen_reference msagen_reference_muladd = {"f32-muladd-1",
#elif defined REFERENCE_NATIVE
static const struct msagen_reference native = {"f32-fma-1",
#else
const struct msagen_reference msagen_reference_fma = {"f32-fma-1",
#endif
    reference_linear, reference_layernorm, reference_attention, reference_features, reference_gelu, reference_fma};

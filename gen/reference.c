/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of a class of arithmetic: the definition in plain loops, in no way shaped like the generated ones.
 * Compiled once for each class: reference_muladd.c includes this file. */
#include "reference.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "msa_arith.h"

#if !MSA_ARITHMETIC_MULADD
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

static float packed_weight(float w)
{
    return fabsf(w) < 0x1p-60f ? 0.0f : w;
}

/* 16 columns of one row: p is [K][16]. */
#define SIXTEEN_CHAINS(FMA)                                                        \
    float chain[16] = {0};                                                         \
    for (size_t k = 0; k < K; ++k)                                                 \
        for (size_t j = 0; j < 16; ++j)                                            \
            chain[j] = FMA(x[k], p[k * 16 + j], chain[j]);                         \
    memcpy(sum, chain, sizeof chain);

static void chains_plain(const float *restrict x, const float *restrict p, float *restrict sum, size_t K)
{
    SIXTEEN_CHAINS(msa_fma)
}

#if defined __x86_64__ && !MSA_ARITHMETIC_MULADD
__attribute__((target("avx2,fma"))) static void chains_fma(const float *restrict x, const float *restrict p, float *restrict sum, size_t K)
{
    SIXTEEN_CHAINS(__builtin_fmaf)
}
#endif

static void chains(const float *x, const float *p, float *sum, size_t K)
{
#if defined __x86_64__ && !MSA_ARITHMETIC_MULADD
    if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2")) {
        chains_fma(x, p, sum, K);
        return;
    }
#endif
    chains_plain(x, p, sum, K);
}

static int reference_linear(const float *x, const float *w, const float *bias, float *y, size_t M, size_t N, size_t K)
{
    float *panel = malloc((K > 0 ? K : 1) * 16 * sizeof *panel);
    if (!panel)
        return -1;
    for (size_t n = 0; n < N; n += 16) {
        const size_t columns = N - n < 16 ? N - n : 16;
        for (size_t k = 0; k < K; ++k)
            for (size_t j = 0; j < 16; ++j)
                panel[k * 16 + j] = j < columns ? packed_weight(w[(n + j) * K + k]) : 0.0f;
        for (size_t m = 0; m < M; ++m) {
            float sum[16];
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

static void reference_layernorm(const float *x, const float *gamma, const float *beta, float eps, float *y, size_t M, size_t C)
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

/* One query of one head: s holds `tile` logits, acc the sums, d wide. */
static void attend(const float *q, const float *k, const float *v, float *out, size_t N, size_t C, size_t d, size_t tile, size_t count,
                   size_t side, const float *by_row, const float *by_column, float *s, float *acc)
{
    float top = -FLT_MAX, total = 0.0f;
    for (size_t first = 0; first < N; first += tile) {
        const size_t keys = N - first < tile ? N - first : tile;
        float highest = -FLT_MAX;
        for (size_t i = 0; i < keys; ++i) {
            const size_t key = first + i;
            float sum = by_row ? by_row[key / side] + by_column[key % side] : 0.0f;
            for (size_t c = 0; c < d; ++c)
                sum = msa_fma(q[c], k[key * C + c], sum);
            s[i] = key < count ? sum : -FLT_MAX;
            highest = msa_max(highest, s[i]);
        }
        const float higher = msa_max(top, highest), alpha = msa_exp(top - higher);
        float part[16] = {0};
        top = higher;
        for (size_t i = 0; i < keys; ++i) {
            s[i] = msa_exp(s[i] - top);
            part[i % 16] = part[i % 16] + s[i];
        }
        total = msa_fma(total, alpha, tree_sum(part));
        for (size_t c = 0; c < d; ++c) {
            float sum = first == 0 ? 0.0f : acc[c] * alpha;
            for (size_t i = 0; i < keys; ++i)
                sum = msa_fma(s[i], v[(first + i) * C + c], sum);
            acc[c] = sum;
        }
    }
    for (size_t c = 0; c < d; ++c)
        out[c] = acc[c] / total;
}

/* r (side) = q . table[at - j + side - 1] over j. */
static void relative(const float *q, const float *table, size_t at, size_t side, size_t d, float *r)
{
    for (size_t j = 0; j < side; ++j) {
        float sum = 0.0f;
        for (size_t c = 0; c < d; ++c)
            sum = msa_fma(q[c], packed_weight(table[(at + side - 1 - j) * d + c]), sum);
        r[j] = sum;
    }
}

static int reference_attention(const float *q, const float *k, const float *v, float *out, size_t M, size_t N, size_t C, size_t heads, size_t tile, size_t count,
                               size_t side, const size_t *place, const float *rel_h, const float *rel_w)
{
    const size_t d = C / heads;
    float *work = malloc((tile + 2 * d + 2 * side) * sizeof *work);
    if (!work)
        return -1;
    float *s = work, *acc = s + tile, *scaled = acc + d, *by_row = scaled + d, *by_column = by_row + side;
    const float scale = (float)(1.0 / sqrt((double)d));
    for (size_t m = 0; m < M; ++m)
        for (size_t h = 0; h < heads; ++h) {
            const float *qh = q + m * C + h * d;
            const int positions = side > 0 && rel_h && rel_w;
            if (positions) {
                relative(qh, rel_h, place[m] / side, side, d, by_row);
                relative(qh, rel_w, place[m] % side, side, d, by_column);
            }
            for (size_t c = 0; c < d; ++c)
                scaled[c] = qh[c] * scale;
            attend(scaled, k + h * d, v + h * d, out + m * C + h * d, N, C, d, tile, count, side, positions ? by_row : NULL, by_column, s, acc);
        }
    free(work);
    return 0;
}

static void reference_position(const float *gaussian, size_t g, size_t E, float *out)
{
    const size_t half = E / 2;
    for (size_t j = 0; j < g; ++j)
        for (size_t i = 0; i < g; ++i) {
            const float x = 2.0f * (((float)i + 0.5f) / (float)g) - 1.0f, y = 2.0f * (((float)j + 0.5f) / (float)g) - 1.0f;
            float *row = out + (j * g + i) * E;
            for (size_t k = 0; k < half; ++k) {
                const float angle = msa_fma(y, gaussian[half + k], x * gaussian[k]) * 6.28318530717958648f;
                row[k] = msa_sin(angle);
                row[half + k] = msa_cos(angle);
            }
        }
}

static float reference_gelu(float x) { return msa_gelu(x); }
static float reference_fma(float a, float b, float c) { return msa_fma(a, b, c); }

#if MSA_ARITHMETIC_MULADD
const struct msagen_reference msagen_reference_muladd = {"f32-muladd-1",
#else
const struct msagen_reference msagen_reference_fma = {"f32-fma-1",
#endif
    reference_linear, reference_layernorm, reference_attention, reference_position, reference_gelu, reference_fma};

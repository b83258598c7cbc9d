/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of a class of arithmetic: the definition in plain loops, in no way shaped like the generated ones.
 * Compiled once for each class: reference_muladd.c includes this file; reference_native.c does for this machine's own
 * multiply-adds, reference_float64.c for doubles. */
#include "quantise.h"
#include "reference.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef REFERENCE_FLOAT64 /* which brings its own real, and these functions of it */
#include "msa_arith.h"
typedef float real;

/* As the packer has it. */
static real packed_weight(real w)
{
    return fabsf(w) < 0x1p-60f ? 0.0f : w;
}
#endif

/* 16 columns of one row, from what sum holds: p is [K][16]. */
static void chains(const real *restrict x, const real *restrict p, real *restrict sum, size_t K)
{
    real chain[16];
    memcpy(chain, sum, sizeof chain);
    for (size_t k = 0; k < K; ++k)
        for (size_t j = 0; j < 16; ++j)
            chain[j] = msa_fma(x[k], p[k * 16 + j], chain[j]);
    memcpy(sum, chain, sizeof chain);
}

static int reference_linear(const void *xs, const void *ws, const void *biases, const void *firsts, int packed,
    void *ys, size_t M, size_t N, size_t K)
{
    const real *x = xs, *w = ws, *bias = biases, *first = firsts;
    real *y = ys;
    real *panel = malloc((K > 0 ? K : 1) * 16 * sizeof *panel);
    if (!panel)
        return -1;
    for (size_t n = 0; n < N; n += 16) {
        const size_t columns = N - n < 16 ? N - n : 16;
        for (size_t k = 0; k < K; ++k)
            for (size_t j = 0; j < 16; ++j) {
                const real value = j < columns ? w[(n + j) * K + k] : 0.0f;
                panel[k * 16 + j] = packed ? packed_weight(value) : value;
            }
        for (size_t m = 0; m < M; ++m) {
            real sum[16] = {0};
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

static real tree_sum(const real p[16])
{
    real t[16];
    memcpy(t, p, sizeof t);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; ++i)
            t[i] = t[i] + t[i + half];
    return t[0];
}

static void reference_layernorm(const void *xs, const void *gammas, const void *betas, double eps, void *ys, size_t M,
    size_t C)
{
    const real *x = xs, *gamma = gammas, *beta = betas;
    real *y = ys;
    for (size_t m = 0; m < M; ++m) {
        real part[16] = {0};
        for (size_t c = 0; c < C; ++c)
            part[c % 16] = part[c % 16] + x[m * C + c];
        const real mean = tree_sum(part) / (real)C;
        memset(part, 0, sizeof part);
        for (size_t c = 0; c < C; ++c) {
            const real d = x[m * C + c] - mean;
            part[c % 16] = msa_fma(d, d, part[c % 16]);
        }
        const real rstd = 1.0f / msa_sqrt(tree_sum(part) / (real)C + (real)eps);
        for (size_t c = 0; c < C; ++c)
            y[m * C + c] = msa_fma((x[m * C + c] - mean) * rstd, packed_weight(gamma[c]), packed_weight(beta[c]));
    }
}

/* The sum of a line's values, or of the squares of their distances from the mean, by sixteen partial sums. */
static real line_sum(const real *x, size_t rows, size_t C, const real *mean)
{
    real part[16] = {0};
    for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < C; ++c) {
            const real value = x[r * C + c], d = mean ? value - *mean : 0;
            part[c % 16] = mean ? msa_fma(d, d, part[c % 16]) : part[c % 16] + value;
        }
    return tree_sum(part);
}

static void reference_mapnorm(const void *xs, const void *gammas, const void *betas, double eps, size_t line, void *ys,
    size_t M, size_t C)
{
    const real *x = xs, *gamma = gammas, *beta = betas, count = (real)(M * C);
    real *y = ys, sum = 0, squares = 0;
    for (size_t m = 0; m < M; m += line)
        sum = sum + line_sum(x + m * C, line, C, NULL);
    const real mean = sum / count;
    for (size_t m = 0; m < M; m += line)
        squares = squares + line_sum(x + m * C, line, C, &mean);
    const real rstd = 1.0f / msa_sqrt(squares / count + (real)eps);
    for (size_t i = 0; i < M * C; ++i)
        y[i] = msa_fma((x[i] - mean) * rstd, packed_weight(gamma[i % C]), packed_weight(beta[i % C]));
}

/* One query of one head, d wide: its running maximum and sum, and the sums of values. */
struct state {
    real top, total;
    real *acc, *s; /* (d); logits of a tile */
};

/* exp of `count` logits in place. @return their sum; alpha is what everything before is worth now */
static real weights_of(struct state *t, size_t count, real *alpha)
{
    real highest = -FLT_MAX, part[16] = {0};
    for (size_t i = 0; i < count; ++i)
        highest = msa_max(highest, t->s[i]);
    const real higher = msa_max(t->top, highest);
    *alpha = msa_exp(t->top - higher);
    t->top = higher;
    for (size_t i = 0; i < count; ++i) {
        t->s[i] = msa_exp(t->s[i] - higher);
        part[i % 16] = part[i % 16] + t->s[i];
    }
    return tree_sum(part);
}

static real dot(const real *a, const real *b, size_t d, real sum)
{
    for (size_t c = 0; c < d; ++c)
        sum = msa_fma(a[c], b[c], sum);
    return sum;
}

/* The places without keys, as one more tile: those right of the keys row by row, then the rows below. They share key
 * and value. */
static void attend_padding(struct state *t, const real *q, const real *k_pad, const real *v_pad, size_t d,
    size_t rows, const struct msagen_grid *g,
                           const real *by_row, const real *by_column)
{
    const real same = dot(q, k_pad, d, 0.0f);
    size_t count = 0;
    for (size_t y = 0; y < g->height; ++y)
        for (size_t x = y < rows ? g->row : 0; x < g->width; ++x)
            t->s[count++] = by_row ? (by_row[y] + by_column[x]) + same : same;
    real alpha;
    if (count == 0)
        return;
    const real weight = weights_of(t, count, &alpha);
    t->total = msa_fma(t->total, alpha, weight);
    for (size_t c = 0; c < d; ++c)
        t->acc[c] = msa_fma(weight, v_pad[c], t->acc[c] * alpha);
}

static void attend(struct state *t, const real *q, const real *k, const real *v, size_t N, size_t C, size_t d,
    size_t tile, size_t count,
                   const struct msagen_grid *g, const real *by_row, const real *by_column, const real *start)
{
    t->top = -FLT_MAX;
    t->total = 0.0f;
    for (size_t first = 0; first < N; first += tile) {
        const size_t keys = N - first < tile ? N - first : tile;
        for (size_t i = 0; i < keys; ++i) {
            const size_t key = first + i;
            const real from = by_row ? by_row[key / g->row] + by_column[key % g->row] : start ? start[key] : 0.0f;
            t->s[i] = key < count ? dot(q, k + key * C, d, from) : -FLT_MAX;
        }
        real alpha;
        const real weight = weights_of(t, keys, &alpha);
        t->total = msa_fma(t->total, alpha, weight);
        for (size_t c = 0; c < d; ++c)
            t->acc[c] = first == 0 ? 0.0f : t->acc[c] * alpha;
        for (size_t i = 0; i < keys; ++i)
            for (size_t c = 0; c < d; ++c)
                t->acc[c] = msa_fma(t->s[i], v[(first + i) * C + c], t->acc[c]);
    }
}

/* r (length) = q . table[at - j + length - 1] over j. */
static void relative(const real *q, const real *table, size_t at, size_t length, size_t d, real *r)
{
    for (size_t j = 0; j < length; ++j) {
        real sum = 0.0f;
        for (size_t c = 0; c < d; ++c)
            sum = msa_fma(q[c], packed_weight(table[(at + length - 1 - j) * d + c]), sum);
        r[j] = sum;
    }
}

static int reference_attention(const void *qs, const void *ks, const void *vs, void *outs, size_t M, size_t N, size_t C,
    size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start)
{
    const real *q = qs, *k = ks, *v = vs, *k_pad = grid ? grid->k_pad : NULL, *v_pad = grid ? grid->v_pad : NULL;
    real *out = outs;
    const size_t d = C / heads, places = grid ? grid->height * grid->width : 0,
        sides = grid ? grid->height + grid->width : 0;
    real *work = malloc(((tile > places ? tile : places) + 2 * d + sides) * sizeof *work);
    if (!work)
        return -1;
    real *scaled = work, *by_row = scaled + d, *by_column = by_row + (grid ? grid->height : 0);
    struct state t = {0.0f, 0.0f, work + d + sides, work + 2 * d + sides};
    const real scale = (real)(1.0 / sqrt((double)d));
    const int positions = grid && grid->rel_h && grid->rel_w;
    for (size_t m = 0; m < M; ++m)
        for (size_t h = 0; h < heads; ++h) {
            const real *qh = q + m * C + h * d;
            if (positions) {
                relative(qh, grid->rel_h, grid->place[m] / grid->width, grid->height, d, by_row);
                relative(qh, grid->rel_w, grid->place[m] % grid->width, grid->width, d, by_column);
            }
            for (size_t c = 0; c < d; ++c)
                scaled[c] = qh[c] * scale;
            attend(&t, scaled, k + h * d, v + h * d, N, C, d, tile, count, grid, positions ? by_row : NULL, by_column,
                start ? (const real *)start + (h * M + m) * N : NULL);
            if (k_pad)
                attend_padding(&t, scaled, k_pad + h * d, v_pad + h * d, d, N / grid->row, grid,
                    positions ? by_row : NULL, by_column);
            for (size_t c = 0; c < d; ++c)
                out[m * C + h * d + c] = t.acc[c] / t.total;
        }
    free(work);
    return 0;
}

static void features(const real *xy, const real *gaussian, size_t half, real *out)
{
    for (size_t k = 0; k < half; ++k) {
        const real angle = msa_fma(xy[1], gaussian[half + k], xy[0] * gaussian[k]) * (real)6.28318530717958648;
        out[k] = msa_sin(angle);
        out[half + k] = msa_cos(angle);
    }
}

static void reference_features(const void *xys, size_t count, const void *gaussian, size_t E, void *out)
{
    for (size_t i = 0; i < count; ++i)
        features((const real *)xys + 2 * i, gaussian, E / 2, (real *)out + i * E);
}

static void reference_position(const void *gaussian, size_t side, size_t E, void *out)
{
    for (size_t i = 0; i < side * side; ++i) {
        const real xy[2] = {2.0f * (((real)(i % side) + 0.5f) / (real)side) - 1.0f,
            2.0f * (((real)(i / side) + 0.5f) / (real)side) - 1.0f};
        features(xy, gaussian, E / 2, (real *)out + i * E);
    }
}

static void reference_add(const void *xs, const void *ys, const double *scale, void *zs, size_t n)
{
    const real *x = xs, *y = ys, s = scale ? (real)*scale : 1.0f;
    real *z = zs;
    for (size_t i = 0; i < n; ++i)
        z[i] = scale ? msa_fma(y[i], s, x[i]) : x[i] + y[i];
}

static void reference_fma(const void *xs, const void *ys, int y_row, const void *zs, int z_row, void *rs, size_t M,
    size_t C)
{
    const real *x = xs, *y = ys, *z = zs;
    real *r = rs;
    for (size_t m = 0; m < M; ++m)
        for (size_t c = 0; c < C; ++c)
            r[m * C + c] = msa_fma(x[m * C + c], y[(y_row ? 0 : m * C) + c], z[(z_row ? 0 : m * C) + c]);
}

static void reference_packed(const void *xs, void *ys, size_t n)
{
    for (size_t i = 0; i < n; ++i)
        ((real *)ys)[i] = packed_weight(((const real *)xs)[i]);
}

/* Numbers that a step of an expression is done to at a time. */
enum { SOME = 64 };

#define EACH(result)                                                                                                   \
    for (size_t i = 0; i < n; ++i) {                                                                                   \
        y[i] = result;                                                                                                 \
    }                                                                                                                  \
    break

/* What step `at` gives for n numbers, value[s] being what step s gave; x are the numbers themselves. */
static void evaluate_step(const struct msagen_step *s, real (*value)[SOME], size_t at, const real *x, size_t n)
{
    const real *a = value[s->operand[0]], *b = value[s->operand[1]], *c = value[s->operand[2]],
               *d = value[s->operand[3]];
    real *y = value[at];
    switch (s->operation) {
    case MSAGEN_X: EACH(x[i]);
    case MSAGEN_CONSTANT: EACH((real)s->constant);
    case MSAGEN_ADD: EACH(a[i] + b[i]);
    case MSAGEN_SUB: EACH(a[i] - b[i]);
    case MSAGEN_MUL: EACH(a[i] * b[i]);
    case MSAGEN_DIV: EACH(a[i] / b[i]);
    case MSAGEN_FMA: EACH(msa_fma(a[i], b[i], c[i]));
    case MSAGEN_MAX: EACH(msa_max(a[i], b[i]));
    case MSAGEN_MIN: EACH(msa_min(a[i], b[i]));
    case MSAGEN_ABS: EACH((real)fabs((double)a[i]));
    case MSAGEN_NEGATE: EACH(-a[i]);
    case MSAGEN_SELECT: EACH(msa_select(a[i], b[i], c[i], d[i]));
    case MSAGEN_EXP: EACH(msa_exp(a[i]));
    case MSAGEN_ERFC: EACH((real)erfc((double)a[i]));
    }
}

static int reference_evaluate(const struct msagen_step *steps, size_t count, const void *xs, void *ys, size_t n)
{
    real (*value)[SOME] = malloc(count * sizeof *value);
    if (!value)
        return -1;
    for (size_t first = 0; first < n; first += SOME) {
        const size_t some = n - first < SOME ? n - first : SOME;
        for (size_t at = 0; at < count; ++at)
            evaluate_step(&steps[at], value, at, (const real *)xs + first, some);
        memcpy((real *)ys + first, value[count - 1], some * sizeof(real));
    }
    free(value);
    return 0;
}

#include "lowered.h"
#include "int8.h"
#include "bf16.h"
#include "gradients.h"
#include "attention_gradients.h"

#ifdef REFERENCE_FLOAT64
const struct msagen_reference msagen_reference_float64 = {"float64", sizeof(real),
#elif MSA_ARITHMETIC_MULADD
const struct msagen_reference msagen_reference_muladd = {"f32-muladd-1", sizeof(real),
#elif defined REFERENCE_NATIVE
static const struct msagen_reference native = {"f32-fma-1", sizeof(real),
#else
const struct msagen_reference msagen_reference_fma = {"f32-fma-1", sizeof(real),
#endif
    reference_linear, reference_layernorm, reference_mapnorm, reference_attention, reference_features,
    reference_position, reference_add, reference_fma, reference_packed, reference_evaluate, reference_quantise,
    reference_quantise_weights, reference_dot_int8, reference_scale_rows, reference_attention_int8,
    reference_bf16, reference_attention_bf16,
    reference_linear_dw, reference_column_sum, reference_layernorm_dx, reference_layernorm_dgamma,
    reference_mapnorm_dx, reference_mapnorm_dgamma, reference_times, reference_scatter, reference_attention_dqkv};

/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of int8-dyn-1 and int8-dyn-muladd-1 (docs/arithmetic.md), part of reference.c: whole numbers are
 * held as reals. They are found in float whatever a real is: in the float64 class, too, they are those of the float32
 * next to what is given, so that only what follows them is computed in double. */

/* The largest magnitude of a row, by its bits, which order NaN above all numbers. */
static float int8_top(const real *x, size_t K, size_t step)
{
    uint32_t top = 0;
    for (size_t k = 0; k < K; ++k) {
        const float value = (float)x[k * step];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits &= 0x7fffffffu;
        top = bits > top ? bits : top;
    }
    float amax;
    memcpy(&amax, &top, sizeof amax);
    return amax;
}

/* A row x, its numbers `step` apart, to whole numbers q, as far apart. @return its scale */
static float int8_row(const real *x, real *q, size_t K, size_t step)
{
    const float amax = int8_top(x, K, step);
    if (!(amax >= 0x1p-40f && amax <= FLT_MAX)) {
        for (size_t k = 0; k < K; ++k)
            q[k * step] = 0;
        return amax < 0x1p-40f ? 0.0f : NAN;
    }
    const float inv = 127.0f / amax;
    for (size_t k = 0; k < K; ++k) {
        const float product = (float)x[k * step] * inv;
        q[k * step] = (real)nearbyintf(product);
    }
    return amax / 127.0f;
}

static void reference_quantise(const void *xs, void *qs, void *scales, size_t M, size_t K)
{
    const real *x = xs;
    real *q = qs, *s = scales;
    for (size_t m = 0; m < M; ++m)
        s[m] = (real)int8_row(x + m * K, q + m * K, K, 1);
}

static void reference_quantise_weights(const void *ws, void *qs, void *scales, size_t N, size_t K)
{
    const real *w = ws;
    real *q = qs, *s = scales;
    for (size_t n = 0; n < N; ++n) {
        double most = 0;
        for (size_t k = 0; k < K; ++k)
            most = fmax(most, fabs((double)w[n * K + k]));
        const float scale = most < 0x1p-40 ? 0.0f : (float)(most / 127.0);
        for (size_t k = 0; k < K; ++k) {
            const double value = scale == 0.0f ? 0.0 : nearbyint((double)w[n * K + k] / (double)scale);
            q[n * K + k] = (real)fmax(-127.0, fmin(127.0, value));
        }
        s[n] = (real)scale;
    }
}

/* The exact sum of products of whole numbers. */
static int32_t int8_dot(const real *a, const real *b, size_t K)
{
    int32_t sum = 0;
    for (size_t k = 0; k < K; ++k)
        sum += (int32_t)a[k] * (int32_t)b[k];
    return sum;
}

static void reference_dot_int8(const void *as, const void *bs, void *sums, size_t M, size_t N, size_t K)
{
    const real *a = as, *b = bs;
    real *y = sums;
    for (size_t m = 0; m < M; ++m)
        for (size_t n = 0; n < N; ++n)
            y[m * N + n] = (real)int8_dot(a + m * K, b + n * K, K);
}

static void reference_scale_rows(const void *xs, const void *scales, void *ys, size_t M, size_t C)
{
    const real *x = xs, *s = scales;
    real *y = ys;
    for (size_t m = 0; m < M; ++m)
        for (size_t c = 0; c < C; ++c)
            y[m * C + c] = x[m * C + c] * s[m];
}

/* ---- attention ---- */

/* Weights of `count` logits in place, as whole numbers up to 16383. @return their sum */
static real int8_weights_of(struct state *t, size_t count, real *alpha)
{
    real highest = -FLT_MAX;
    int32_t sum = 0;
    for (size_t i = 0; i < count; ++i)
        highest = msa_max(highest, t->s[i]);
    const real higher = msa_max(t->top, highest);
    *alpha = msa_exp(t->top - higher);
    t->top = higher;
    for (size_t i = 0; i < count; ++i) {
        const float product = (float)msa_exp(t->s[i] - higher) * 16383.0f;
        t->s[i] = (real)nearbyintf(product);
        sum += (int32_t)t->s[i];
    }
    return (real)sum;
}

static real int8_product(const struct lowered_head *h, size_t m, size_t key)
{
    return ((real)int8_dot(h->q + m * h->d, h->k + key * h->d, h->d) * h->c_q[m]) * h->s_k[key];
}

static void int8_values(struct state *t, const struct lowered_head *h, size_t first, size_t keys)
{
    real alpha;
    const real weight = int8_weights_of(t, keys, &alpha);
    t->total = first == 0 ? weight : msa_fma(t->total, alpha, weight);
    for (size_t c = 0; c < h->d; ++c) {
        int32_t sum = 0;
        for (size_t i = 0; i < keys; ++i)
            h->v8[i * h->d + c] = h->v[(first + i) * h->C + c];
        h->s_v[c] = (real)int8_row(h->v8 + c, h->v8 + c, keys, h->d);
        for (size_t i = 0; i < keys; ++i)
            sum += (int32_t)t->s[i] * (int32_t)h->v8[i * h->d + c];
        const real value = (real)sum * h->s_v[c];
        t->acc[c] = first == 0 ? value : msa_fma(t->acc[c], alpha, value);
    }
}

static void int8_padding(struct state *t, const struct lowered_head *h, size_t m, const real *k_pad, const real *v_pad,
    const real *by_row, const real *by_column)
{
    const struct msagen_grid *g = h->grid;
    const size_t rows = h->N / g->row;
    real *key = h->pad;
    const real s_k = (real)int8_row(k_pad, key, h->d, 1);
    const real same = ((real)int8_dot(h->q + m * h->d, key, h->d) * h->c_q[m]) * s_k;
    size_t count = 0;
    for (size_t y = 0; y < g->height; ++y)
        for (size_t x = y < rows ? g->row : 0; x < g->width; ++x)
            t->s[count++] = by_row ? same + (by_row[y] + by_column[x]) : same;
    if (count == 0)
        return;
    real alpha;
    const real weight = weights_of(t, count, &alpha) * 16383.0f;
    t->total = msa_fma(t->total, alpha, weight);
    for (size_t c = 0; c < h->d; ++c)
        t->acc[c] = msa_fma(weight, v_pad[c], t->acc[c] * alpha);
}

static void int8_prepare(const struct lowered_head *h, const real *q, const real *k, real s)
{
    for (size_t m = 0; m < h->M; ++m) {
        h->c_q[m] = (real)int8_row(q + m * h->C, h->q + m * h->d, h->d, 1);
        h->c_q[m] = h->c_q[m] * s;
    }
    for (size_t n = 0; n < h->N; ++n)
        h->s_k[n] = (real)int8_row(k + n * h->C, h->k + n * h->d, h->d, 1);
}

static int reference_attention_int8(const void *q, const void *k, const void *v, void *out, size_t M, size_t N,
    size_t C, size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start)
{
    static const struct lowered precision = {int8_prepare, int8_product, int8_values, int8_padding};
    return lowered_attention(&precision, q, k, v, out, M, N, C, heads, tile, count, grid, start);
}

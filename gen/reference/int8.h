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

/* A head's queries and keys as whole numbers, and where its results go. */
struct int8_head {
    const real *q, *k, *v;      /* (M,d), (N,d); v in float, C apart */
    const real *c_q, *s_k;      /* (M), (N) */
    real *v8, *s_v, *p;         /* (tile,d), (d); (tile) */
    size_t M, N, C, d, tile, count;
    const struct msagen_grid *grid;
};

static void int8_attend(struct state *t, const struct int8_head *h, size_t m, const real *by_row,
    const real *by_column, const real *start)
{
    t->top = -FLT_MAX;
    t->total = 0.0f;
    for (size_t first = 0; first < h->N; first += h->tile) {
        const size_t keys = h->N - first < h->tile ? h->N - first : h->tile, d = h->d;
        for (size_t i = 0; i < keys; ++i) {
            const size_t key = first + i;
            const real from = by_row ? by_row[key / h->grid->row] + by_column[key % h->grid->row]
                : start ? start[key] : 0.0f;
            const real logit = ((real)int8_dot(h->q + m * d, h->k + key * d, d) * h->c_q[m]) * h->s_k[key] + from;
            t->s[i] = key < h->count ? logit : -FLT_MAX;
        }
        real alpha;
        const real weight = int8_weights_of(t, keys, &alpha);
        t->total = first == 0 ? weight : msa_fma(t->total, alpha, weight);
        for (size_t c = 0; c < d; ++c) {
            h->s_v[c] = (real)int8_row(h->v + first * h->C + c, h->v8 + first * h->C + c, keys, h->C);
            int32_t sum = 0;
            for (size_t i = 0; i < keys; ++i)
                sum += (int32_t)t->s[i] * (int32_t)h->v8[(first + i) * h->C + c];
            const real value = (real)sum * h->s_v[c];
            t->acc[c] = first == 0 ? value : msa_fma(t->acc[c], alpha, value);
        }
    }
}

static void int8_padding(struct state *t, const struct int8_head *h, size_t m, const real *k_pad, const real *v_pad,
    const real *by_row, const real *by_column)
{
    const struct msagen_grid *g = h->grid;
    const size_t rows = h->N / g->row;
    real *key = h->p;
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

/* Columns h d to h d + d of x (M,C), a row quantised by itself, times `by` where that is not 0. */
static void int8_columns(const real *x, size_t M, size_t C, size_t d, real by, real *q, real *s)
{
    for (size_t m = 0; m < M; ++m) {
        s[m] = (real)int8_row(x + m * C, q + m * d, d, 1);
        if (by != 0)
            s[m] = s[m] * by;
    }
}

static int reference_attention_int8(const void *qs, const void *ks, const void *vs, void *outs, size_t M, size_t N,
    size_t C, size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start)
{
    const real *q = qs, *k = ks, *v = vs, *k_pad = grid ? grid->k_pad : NULL, *v_pad = grid ? grid->v_pad : NULL;
    real *out = outs;
    const size_t d = C / heads, places = grid ? grid->height * grid->width : 0,
        sides = grid ? grid->height + grid->width : 0, longest = tile > places ? tile : places;
    real *work = malloc((longest + 3 * d + sides + (M + N) * (d + 1) + N * C) * sizeof *work);
    if (!work)
        return -1;
    real *by_row = work, *by_column = by_row + (grid ? grid->height : 0), *acc = work + sides, *s_v = acc + d,
        *p = s_v + d, *logits = p + d, *q8 = logits + longest, *k8 = q8 + M * d, *c_q = k8 + N * d, *s_k = c_q + M,
        *v8 = s_k + N;
    struct state t = {0.0f, 0.0f, acc, logits};
    const real scale = (real)(1.0 / sqrt((double)d));
    const int positions = grid && grid->rel_h && grid->rel_w;
    for (size_t h = 0; h < heads; ++h) {
        const struct int8_head head = {q8, k8, v + h * d, c_q, s_k, v8 + h * d, s_v, p, M, N, C, d, tile, count,
            grid};
        int8_columns(q + h * d, M, C, d, scale, q8, c_q);
        int8_columns(k + h * d, N, C, d, 0, k8, s_k);
        for (size_t m = 0; m < M; ++m) {
            if (positions) {
                const real *qh = q + m * C + h * d;
                relative(qh, grid->rel_h, grid->place[m] / grid->width, grid->height, d, by_row);
                relative(qh, grid->rel_w, grid->place[m] % grid->width, grid->width, d, by_column);
            }
            int8_attend(&t, &head, m, positions ? by_row : NULL, by_column,
                start ? (const real *)start + (h * M + m) * N : NULL);
            if (k_pad)
                int8_padding(&t, &head, m, k_pad + h * d, v_pad + h * d, positions ? by_row : NULL, by_column);
            for (size_t c = 0; c < d; ++c)
                out[m * C + h * d + c] = t.acc[c] / t.total;
        }
    }
    free(work);
    return 0;
}

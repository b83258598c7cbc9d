/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of bf16-1 and bf16-muladd-1 (docs/arithmetic.md), part of reference.c. Numbers of 8 significant
 * bits are those of the float32 next to what is given, in the float64 class as well. A product of such rows is
 * linear's: what makes its chain that of bf16-1 is their order. */

static void reference_bf16(const void *xs, void *ys, size_t M, size_t K)
{
    const real *x = xs;
    real *y = ys;
    for (size_t m = 0; m < M; ++m, x += K, y += K) {
        for (size_t k = 0; k + 1 < K; k += 2) {
            y[k] = (real)msagen_bf16((float)x[k + 1]);
            y[k + 1] = (real)msagen_bf16((float)x[k]);
        }
        if (K % 2 == 1)
            y[K - 1] = (real)msagen_bf16((float)x[K - 1]);
    }
}

/* ---- attention ---- */

/* A head's queries and keys in bf16, as reference_bf16 has them. */
struct bf16_head {
    const real *q, *k, *v; /* (M,d), (N,d); v as it was, C apart */
    size_t M, N, C, d, tile, count;
    const struct msagen_grid *grid;
};

/* The sum over `keys` weights of a tile times column c of the values from `first` on. */
static real bf16_values(const struct bf16_head *h, const real *weight, size_t first, size_t keys, size_t c)
{
    real sum = 0.0f;
    for (size_t i = 0; i < keys; ++i) {
        const size_t key = i + 1 < keys || i % 2 == 1 ? i ^ 1 : i;
        const real value = (real)msagen_bf16((float)h->v[(first + key) * h->C + c]);
        sum = msa_fma((real)msagen_bf16((float)weight[key]), value, sum);
    }
    return sum;
}

static void bf16_attend(struct state *t, const struct bf16_head *h, size_t m, const real *by_row,
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
            t->s[i] = key < h->count ? from + dot(h->q + m * d, h->k + key * d, d, 0.0f) : -FLT_MAX;
        }
        real alpha;
        const real weight = weights_of(t, keys, &alpha);
        t->total = msa_fma(t->total, alpha, weight);
        for (size_t c = 0; c < d; ++c) {
            const real sum = bf16_values(h, t->s, first, keys, c), before = t->acc[c] * alpha;
            t->acc[c] = first == 0 ? sum : before + sum;
        }
    }
}

/* Columns h d to h d + d of x (M,C) times `by`, in bf16. */
static void bf16_columns(const real *x, size_t M, size_t C, size_t d, real by, real *to)
{
    for (size_t m = 0; m < M; ++m) {
        for (size_t c = 0; c < d; ++c)
            to[m * d + c] = x[m * C + c] * by;
        real turned[2];
        for (size_t c = 0; c < d; c += 2) {
            const size_t two = d - c < 2 ? d - c : 2;
            reference_bf16(to + m * d + c, turned, 1, two);
            memcpy(to + m * d + c, turned, two * sizeof *turned);
        }
    }
}

static int reference_attention_bf16(const void *qs, const void *ks, const void *vs, void *outs, size_t M, size_t N,
    size_t C, size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start)
{
    const real *q = qs, *k = ks, *v = vs, *k_pad = grid ? grid->k_pad : NULL, *v_pad = grid ? grid->v_pad : NULL;
    real *out = outs;
    const size_t d = C / heads, places = grid ? grid->height * grid->width : 0,
        sides = grid ? grid->height + grid->width : 0, longest = tile > places ? tile : places;
    real *work = malloc((longest + 2 * d + sides + (M + N) * d) * sizeof *work);
    if (!work)
        return -1;
    real *by_row = work, *by_column = by_row + (grid ? grid->height : 0), *acc = work + sides, *pad = acc + d,
        *logits = pad + d, *q16 = logits + longest, *k16 = q16 + M * d;
    struct state t = {0.0f, 0.0f, acc, logits};
    const real scale = (real)(1.0 / sqrt((double)d));
    const int positions = grid && grid->rel_h && grid->rel_w;
    for (size_t h = 0; h < heads; ++h) {
        const struct bf16_head head = {q16, k16, v + h * d, M, N, C, d, tile, count, grid};
        bf16_columns(q + h * d, M, C, d, scale, q16);
        bf16_columns(k + h * d, N, C, d, 1.0f, k16);
        if (k_pad)
            reference_bf16(k_pad + h * d, pad, 1, d);
        for (size_t m = 0; m < M; ++m) {
            if (positions) {
                const real *qh = q + m * C + h * d;
                relative(qh, grid->rel_h, grid->place[m] / grid->width, grid->height, d, by_row);
                relative(qh, grid->rel_w, grid->place[m] % grid->width, grid->width, d, by_column);
            }
            bf16_attend(&t, &head, m, positions ? by_row : NULL, by_column,
                start ? (const real *)start + (h * M + m) * N : NULL);
            if (k_pad)
                attend_padding(&t, q16 + m * d, pad, v_pad + h * d, d, N / grid->row, grid,
                    positions ? by_row : NULL, by_column);
            for (size_t c = 0; c < d; ++c)
                out[m * C + h * d + c] = t.acc[c] / t.total;
        }
    }
    free(work);
    return 0;
}

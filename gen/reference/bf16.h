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

static void bf16_prepare(const struct lowered_head *h, const real *q, const real *k, real s)
{
    for (size_t m = 0; m < h->M; ++m) {
        for (size_t c = 0; c < h->d; ++c)
            h->pad[c] = q[m * h->C + c] * s;
        reference_bf16(h->pad, h->q + m * h->d, 1, h->d);
    }
    for (size_t n = 0; n < h->N; ++n)
        reference_bf16(k + n * h->C, h->k + n * h->d, 1, h->d);
}

static real bf16_product(const struct lowered_head *h, size_t m, size_t key)
{
    return dot(h->q + m * h->d, h->k + key * h->d, h->d, 0.0f);
}

/* The sum over `keys` weights of a tile times column c of the values from `first` on. */
static real bf16_sum(const struct lowered_head *h, const real *weight, size_t first, size_t keys, size_t c)
{
    real sum = 0.0f;
    for (size_t i = 0; i < keys; ++i) {
        const size_t key = (i ^ 1) < keys ? i ^ 1 : i;
        const real value = (real)msagen_bf16((float)h->v[(first + key) * h->C + c]);
        sum = msa_fma((real)msagen_bf16((float)weight[key]), value, sum);
    }
    return sum;
}

static void bf16_values(struct state *t, const struct lowered_head *h, size_t first, size_t keys)
{
    real alpha;
    const real weight = weights_of(t, keys, &alpha);
    t->total = msa_fma(t->total, alpha, weight);
    for (size_t c = 0; c < h->d; ++c) {
        const real sum = bf16_sum(h, t->s, first, keys, c), before = t->acc[c] * alpha;
        t->acc[c] = first == 0 ? sum : before + sum;
    }
}

static void bf16_padding(struct state *t, const struct lowered_head *h, size_t m, const real *k_pad, const real *v_pad,
    const real *by_row, const real *by_column)
{
    reference_bf16(k_pad, h->pad, 1, h->d);
    attend_padding(t, h->q + m * h->d, h->pad, v_pad, h->d, h->N / h->grid->row, h->grid, by_row, by_column);
}

static int reference_attention_bf16(const void *q, const void *k, const void *v, void *out, size_t M, size_t N,
    size_t C, size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start)
{
    static const struct lowered precision = {bf16_prepare, bf16_product, bf16_values, bf16_padding};
    return lowered_attention(&precision, q, k, v, out, M, N, C, heads, tile, count, grid, start);
}

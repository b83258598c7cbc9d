/* SPDX-License-Identifier: Apache-2.0 */
/* Attention whose products take operands of lower precision, part of reference.c: what int8.h and bf16.h have alike. */

/* A head, and what a precision makes of it. Elements that only one of them has are that one's to say. */
struct lowered_head {
    const struct lowered *precision;
    real *q, *k;                         /* (M,d), (N,d): queries and keys in the precision */
    const real *v;                       /* (N,d), C apart, as they were */
    real *pad;                           /* (d): the key of padding in the precision */
    real *c_q, *s_k, *v8, *s_v;          /* int8.h */
    size_t M, N, C, d, tile, count;
    const struct msagen_grid *grid;
};

struct lowered {
    /* Queries q and keys k, C apart, into the head's; s is 1 / sqrt(d). */
    void (*prepare)(const struct lowered_head *h, const real *q, const real *k, real s);
    /* A query's product with a key. */
    real (*product)(const struct lowered_head *h, size_t m, size_t key);
    /* Weights of a tile's logits, and their sum with values, into the state. */
    void (*values)(struct state *t, const struct lowered_head *h, size_t first, size_t keys);
    /* Padding, of one key and value. */
    void (*padding)(struct state *t, const struct lowered_head *h, size_t m, const real *k_pad, const real *v_pad,
        const real *by_row, const real *by_column);
};

static void lowered_attend(struct state *t, const struct lowered_head *h, size_t m, const real *by_row,
    const real *by_column, const real *start)
{
    t->top = -FLT_MAX;
    t->total = 0.0f;
    for (size_t first = 0; first < h->N; first += h->tile) {
        const size_t keys = h->N - first < h->tile ? h->N - first : h->tile;
        for (size_t i = 0; i < keys; ++i) {
            const size_t key = first + i;
            const real from = by_row ? by_row[key / h->grid->row] + by_column[key % h->grid->row]
                : start ? start[key] : 0.0f;
            t->s[i] = key < h->count ? h->precision->product(h, m, key) + from : -FLT_MAX;
        }
        h->precision->values(t, h, first, keys);
    }
}

/* As msagen_reference's attention. Returns 0, or -1: out of memory. */
static int lowered_attention(const struct lowered *precision, const real *q, const real *k, const real *v, real *out,
    size_t M, size_t N, size_t C, size_t heads, size_t tile, size_t count, const struct msagen_grid *grid,
    const real *start)
{
    const real *k_pad = grid ? grid->k_pad : NULL, *v_pad = grid ? grid->v_pad : NULL;
    const size_t d = C / heads, places = grid ? grid->height * grid->width : 0,
        sides = grid ? grid->height + grid->width : 0, longest = tile > places ? tile : places;
    real *work = malloc((longest + 3 * d + sides + (M + N) * (d + 1) + N * d) * sizeof *work);
    if (!work)
        return -1;
    real *by_row = work, *by_column = by_row + (grid ? grid->height : 0), *acc = work + sides, *s_v = acc + d,
        *pad = s_v + d, *logits = pad + d, *q_low = logits + longest, *k_low = q_low + M * d, *c_q = k_low + N * d,
        *s_k = c_q + M, *v8 = s_k + N;
    struct state t = {0.0f, 0.0f, acc, logits};
    const int positions = grid && grid->rel_h && grid->rel_w;
    for (size_t h = 0; h < heads; ++h) {
        const struct lowered_head head = {precision, q_low, k_low, v + h * d, pad, c_q, s_k, v8, s_v, M, N, C, d, tile,
            count, grid};
        precision->prepare(&head, q + h * d, k + h * d, (real)(1.0 / sqrt((double)d)));
        for (size_t m = 0; m < M; ++m) {
            if (positions) {
                const real *qh = q + m * C + h * d;
                relative(qh, grid->rel_h, grid->place[m] / grid->width, grid->height, d, by_row);
                relative(qh, grid->rel_w, grid->place[m] % grid->width, grid->width, d, by_column);
            }
            lowered_attend(&t, &head, m, positions ? by_row : NULL, by_column, start ? start + (h * M + m) * N : NULL);
            if (k_pad)
                precision->padding(&t, &head, m, k_pad + h * d, v_pad + h * d, positions ? by_row : NULL, by_column);
            for (size_t c = 0; c < d; ++c)
                out[m * C + h * d + c] = t.acc[c] / t.total;
        }
    }
    free(work);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernel of attention's gradients, of the class of the file that includes this one: reference.c alone does,
 * after gradients.h. */
#ifndef MSAGEN_ATTENTION_GRADIENTS_H
#define MSAGEN_ATTENTION_GRADIENTS_H

/* What is worked on of one head. Rows are d16 wide, columns of keys n16 long: filled up with zeros to whole sixteens,
 * so that a compiler makes vectors of the loops. */
struct head {
    size_t d16, n16;
    real *kt, *vt;               /* (d,n16): keys and values, a column a key */
    real *k;                     /* (N,d16): keys */
    real *dk, *dv;               /* (N,d16): sums of the blocks so far */
    real *block_k, *block_v;     /* (N,d16): of the block that is being summed */
    real *p, *ds;                /* (n16): of one query */
    real *q, *qs, *d_o, *z;      /* (d16): of one query */
    real *rh, *rw, *drh, *drw;   /* (height), (width): of one query */
    real *table_h, *table_w;     /* (2 height - 1,d16), (2 width - 1,d16) */
};

/* y (n) = a x + y; n is a multiple of 16. */
static void add_multiple(real a, const real *restrict x, real *restrict y, size_t n)
{
    for (size_t first = 0; first < n; first += 16)
        for (size_t j = 0; j < 16; ++j)
            y[first + j] = msa_fma(a, x[first + j], y[first + j]);
}

static real *head_memory(struct head *w, const struct msagen_attention_set *s)
{
    const size_t d = s->C / s->heads, d16 = (d + 15) / 16 * 16, n16 = (s->N + 15) / 16 * 16;
    const size_t height = s->grid ? s->grid->height : 0, width = s->grid ? s->grid->width : 0;
    const size_t sizes[] = {d * n16, d * n16, s->N * d16, s->N * d16, s->N * d16, s->N * d16, s->N * d16, n16, n16, d16,
        d16, d16, d16, height, width, height, width, 2 * height * d16, 2 * width * d16};
    real **const places[] = {&w->kt, &w->vt, &w->k, &w->dk, &w->dv, &w->block_k, &w->block_v, &w->p, &w->ds, &w->q,
        &w->qs, &w->d_o, &w->z, &w->rh, &w->rw, &w->drh, &w->drw, &w->table_h, &w->table_w};
    size_t sum = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i)
        sum += sizes[i];
    real *memory = calloc(sum, sizeof *memory), *at = memory;
    for (size_t i = 0; memory && i < sizeof sizes / sizeof *sizes; at += sizes[i++])
        *places[i] = at;
    w->d16 = d16;
    w->n16 = n16;
    return memory;
}

static void fill_head(struct head *w, const struct msagen_attention_set *s, size_t h)
{
    const size_t d = s->C / s->heads;
    for (size_t j = 0; j < s->N; ++j)
        for (size_t c = 0; c < d; ++c) {
            const size_t from = j * s->C + h * d + c;
            w->kt[c * w->n16 + j] = w->k[j * w->d16 + c] = ((const real *)s->k)[from];
            w->vt[c * w->n16 + j] = ((const real *)s->v)[from];
        }
    memset(w->block_k, 0, s->N * w->d16 * sizeof *w->block_k);
    memset(w->block_v, 0, s->N * w->d16 * sizeof *w->block_v);
}

static void fill_table(const real *table, size_t rows, size_t d, size_t d16, real *filled)
{
    for (size_t t = 0; t < rows; ++t)
        for (size_t c = 0; c < d; ++c)
            filled[t * d16 + c] = packed_weight(table[t * d + c]);
}

/* The logits of query i in p. */
static void logits_of(struct head *w, const struct msagen_attention_set *s, size_t h, size_t i)
{
    const struct msagen_grid *g = s->grid;
    const size_t d = s->C / s->heads;
    const int positions = g && g->rel_h;
    if (positions) {
        relative(w->q, g->rel_h, g->place[i] / g->width, g->height, d, w->rh);
        relative(w->q, g->rel_w, g->place[i] % g->width, g->width, d, w->rw);
    }
    for (size_t j = 0; j < s->N; ++j)
        w->p[j] = positions ? w->rh[j / g->row] + w->rw[j % g->row]
            : s->start ? ((const real *)s->start)[(h * s->M + i) * s->N + j] : 0.0f;
    for (size_t c = 0; c < d; ++c)
        add_multiple(w->qs[c], w->kt + c * w->n16, w->p, w->n16);
}

/* p and ds of query i of its head, whose q, qs and d_o are there. */
static void weights_and_slopes(struct head *w, const struct msagen_attention_set *s, size_t h, size_t i)
{
    const size_t d = s->C / s->heads;
    real part[16] = {0}, slopes[16] = {0}, highest = -FLT_MAX;
    logits_of(w, s, h, i);
    for (size_t j = 0; j < s->count; ++j)
        highest = msa_max(highest, w->p[j]);
    for (size_t j = 0; j < s->count; ++j) {
        w->p[j] = msa_exp(w->p[j] - highest);
        part[j % 16] = part[j % 16] + w->p[j];
    }
    const real total = tree_sum(part);
    memset(w->ds, 0, w->n16 * sizeof *w->ds);
    for (size_t c = 0; c < d; ++c)
        add_multiple(w->d_o[c], w->vt + c * w->n16, w->ds, w->n16);
    for (size_t j = 0; j < s->count; ++j) {
        w->p[j] = w->p[j] / total;
        slopes[j % 16] = msa_fma(w->p[j], w->ds[j], slopes[j % 16]);
    }
    const real D = tree_sum(slopes);
    for (size_t j = 0; j < s->count; ++j)
        w->ds[j] = w->p[j] * (w->ds[j] - D);
}

/* What relative positions add to dq of query i, which is in z, and to the gradients of their tables. */
static void relative_gradients(struct head *w, const struct msagen_attention_set *s, size_t h, size_t i)
{
    const struct msagen_grid *g = s->grid;
    const size_t d = s->C / s->heads, y_at = g->place[i] / g->width, x_at = g->place[i] % g->width;
    memset(w->drh, 0, g->height * sizeof *w->drh);
    memset(w->drw, 0, g->width * sizeof *w->drw);
    for (size_t j = 0; j < s->count; ++j) {
        w->drh[j / g->row] = w->drh[j / g->row] + w->ds[j];
        w->drw[j % g->row] = w->drw[j % g->row] + w->ds[j];
    }
    for (size_t y = 0; y < g->height; ++y)
        add_multiple(w->drh[y], w->table_h + (y_at + g->height - 1 - y) * w->d16, w->z, w->d16);
    for (size_t x = 0; x < g->width; ++x)
        add_multiple(w->drw[x], w->table_w + (x_at + g->width - 1 - x) * w->d16, w->z, w->d16);
    if (!s->drel_h)
        return;
    real *drel_h = (real *)s->drel_h + h * d, *drel_w = (real *)s->drel_w + h * d;
    for (size_t y = 0; y < g->height; ++y)
        for (size_t c = 0; c < d; ++c) {
            real *sum = drel_h + (y_at + g->height - 1 - y) * s->C + c;
            *sum = msa_fma(w->drh[y], w->q[c], *sum);
        }
    for (size_t x = 0; x < g->width; ++x)
        for (size_t c = 0; c < d; ++c) {
            real *sum = drel_w + (x_at + g->width - 1 - x) * s->C + c;
            *sum = msa_fma(w->drw[x], w->q[c], *sum);
        }
}

/* All that query i of head h gives; what it adds to keys and values is in the block's sums. */
static void query_gradients(struct head *w, const struct msagen_attention_set *s, size_t h, size_t i)
{
    const size_t d = s->C / s->heads;
    const real scale = (real)(1.0 / sqrt((double)d));
    for (size_t c = 0; c < d; ++c) {
        w->q[c] = ((const real *)s->q)[i * s->C + h * d + c];
        w->qs[c] = w->q[c] * scale;
        w->d_o[c] = ((const real *)s->d_o)[i * s->C + h * d + c];
    }
    weights_and_slopes(w, s, h, i);
    memset(w->z, 0, w->d16 * sizeof *w->z);
    for (size_t j = 0; j < s->count; ++j) {
        add_multiple(w->ds[j], w->k + j * w->d16, w->z, w->d16);
        add_multiple(w->ds[j], w->qs, w->block_k + j * w->d16, w->d16);
        add_multiple(w->p[j], w->d_o, w->block_v + j * w->d16, w->d16);
    }
    for (size_t c = 0; c < d; ++c)
        w->z[c] = w->z[c] * scale;
    if (s->grid && s->grid->rel_h)
        relative_gradients(w, s, h, i);
    memcpy((real *)s->dq + i * s->C + h * d, w->z, d * sizeof *w->z);
    for (size_t j = 0; s->dstart && j < s->count; ++j) {
        real *sum = (real *)s->dstart + (h * s->M + i) * s->N + j;
        *sum = *sum + w->ds[j];
    }
}

static int reference_attention_dqkv(const struct msagen_attention_set *s)
{
    const struct msagen_grid *g = s->grid;
    const size_t d = s->C / s->heads;
    struct head w;
    real *memory = head_memory(&w, s);
    if (!memory)
        return -1;
    const size_t all = s->N * w.d16;
    if (g && g->rel_h) {
        fill_table(g->rel_h, 2 * g->height - 1, d, w.d16, w.table_h);
        fill_table(g->rel_w, 2 * g->width - 1, d, w.d16, w.table_w);
    }
    for (size_t h = 0; h < s->heads; ++h) {
        fill_head(&w, s, h);
        for (size_t i = 0; i < s->M; ++i) {
            query_gradients(&w, s, h, i);
            if (i + 1 < s->M && (i + 1) % GRADIENT_BLOCK > 0)
                continue;
            join_block(w.dk, w.block_k, all, i < GRADIENT_BLOCK);
            join_block(w.dv, w.block_v, all, i < GRADIENT_BLOCK);
            memset(w.block_k, 0, all * sizeof *w.block_k);
            memset(w.block_v, 0, all * sizeof *w.block_v);
        }
        for (size_t j = 0; j < s->N; ++j) {
            memcpy((real *)s->dk + j * s->C + h * d, w.dk + j * w.d16, d * sizeof(real));
            memcpy((real *)s->dv + j * s->C + h * d, w.dv + j * w.d16, d * sizeof(real));
        }
    }
    free(memory);
    return 0;
}

#endif

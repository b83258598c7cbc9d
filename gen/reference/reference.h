/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels in plain loops: both classes of arithmetic, which generated code must equal bit for bit, and the
 * same in double precision, by which their error is measured. The self-test's known answer is computed with them.
 * Matrices are row-major and dense; x (M,K) reads "M rows of K". Elements are floats, or doubles where the class is
 * float64. */
#ifndef MSAGEN_REFERENCE_H
#define MSAGEN_REFERENCE_H

#include <stddef.h>

/* A grid of height x width places, of which the first rows and `row` columns have keys, row by row, and the rest is
 * padding. */
struct msagen_grid {
    size_t height, width, row;
    const size_t *place;          /* (M): y * width + x of each query */
    /* decomposed relative positions, (2 height - 1, d) and (2 width - 1, d), d the width of a head; NULL for none */
    const void *rel_h, *rel_w;
    const void *k_pad, *v_pad;    /* (C): key and value of each place that is padding; NULL: it does not count */
};

/* What a step of an expression does (lua/graph/expressions.lua); operands are a, b, c, d. */
enum msagen_operation {
    MSAGEN_X, /* the number itself */
    MSAGEN_CONSTANT, MSAGEN_ADD, MSAGEN_SUB, MSAGEN_MUL, MSAGEN_DIV,
    MSAGEN_FMA,    /* a b + c */
    MSAGEN_MAX, MSAGEN_MIN, MSAGEN_ABS, MSAGEN_NEGATE,
    MSAGEN_SELECT, /* c where a < b, else d */
    MSAGEN_EXP,    /* of what is at most 0 */
    MSAGEN_ERFC    /* of float64 alone */
};

struct msagen_step {
    enum msagen_operation operation;
    size_t operand[4]; /* steps before this one */
    double constant;
};

/* One set of attention's queries and keys, whose gradients are wanted: C columns, those of a head side by side. */
struct msagen_attention_set {
    const void *q, *k, *v, *d_o;     /* (M,C), (N,C), (N,C); (M,C): the gradient of what attention gave */
    size_t M, N, C, heads;
    size_t count;                    /* keys that weigh anything; gradients of the others are 0 */
    /* where keys and queries stand, NULL for nowhere: key j in row j / row and column j % row. Its k_pad and v_pad do
     * not count, for padding is among the keys. */
    const struct msagen_grid *grid;
    const void *start;               /* NULL, or what logits start from (heads,M,N), where there are no tables */
    void *dq, *dk, *dv;              /* as q, k, v */
    /* NULL, or what gradients are added to: of the tables (2 height - 1,C), (2 width - 1,C), a head in its columns; of
     * start */
    void *drel_h, *drel_w, *dstart;
};

struct msagen_reference {
    const char *arithmetic; /* the class */
    size_t bytes;           /* of an element */

    /* y (M,N) = x (M,K) w^T + bias, w (N,K); each sum starts from first (M,N), or from +0 where that is NULL, and takes
     * k in order; bias (N), added last, may be NULL. With `packed`, weights below 2^-60 count as 0, as the packer has
     * them (float64 has them as they are); without, w is no weight.
     * Returns 0, or -1: out of memory. */
    int (*linear)(const void *x, const void *w, const void *bias, const void *first, int packed, void *y, size_t M,
        size_t N, size_t K);

    /* y (M,C) = layer norm of x; gamma, beta (C). y may be x. */
    void (*layernorm)(const void *x, const void *gamma, const void *beta, double eps, void *y, size_t M, size_t C);

    /* y (M,C) = norm of x as a whole, M rows of which `line`, a divisor of M, have a sum of their own; gamma, beta (C).
     * y may be x. */
    void (*mapnorm)(const void *x, const void *gamma, const void *beta, double eps, size_t line, void *y, size_t M,
        size_t C);

    /* out (M,C) = softmax(scale q k^T + r) v, heads side by side; q (M,C), k and v (N,C); scale 1/sqrt(head width).
     *   tile     keys at a time; count <= N: keys that weigh anything
     *   grid     NULL, or where keys and queries stand and what r is
     *   start    NULL, or r itself (heads,M,N), where the grid has no relative positions
     * Returns 0, or -1: out of memory. */
    int (*attention)(const void *q, const void *k, const void *v, void *out, size_t M, size_t N, size_t C,
        size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start);

    /* out (count,E) = Fourier features of places: sines, then cosines, of 2 pi (x, y) gaussian, xy (count,2) from -1 to
     * 1; gaussian (2,E/2), E even. As the prompt encoder computes them. */
    void (*features)(const void *xy, size_t count, const void *gaussian, size_t E, void *out);

    /* out (side^2,E) = features of the middles of a grid's places, row by row. */
    void (*position)(const void *gaussian, size_t side, size_t E, void *out);

    /* z (n) = x + y, or x + s y in one multiply-add of the class; scale is NULL or points to s. */
    void (*add)(const void *x, const void *y, const double *scale, void *z, size_t n);

    /* r (M,C) = x y + z in one multiply-add of the class; y and z are rows (C) for all where y_row, z_row say so. */
    void (*fma)(const void *x, const void *y, int y_row, const void *z, int z_row, void *r, size_t M, size_t C);

    /* y (n) = weights x as the packer has them. */
    void (*packed)(const void *x, void *y, size_t n);

    /* y (n) = an expression of x, element by element: what the last of its steps gives, of which there is one at least.
     * Returns 0, or -1: out of memory. */
    int (*evaluate)(const struct msagen_step *steps, size_t count, const void *x, void *y, size_t n);

    /* int8-dyn-1. Whole numbers of -127 to 127 are held as elements. */

    /* q (M,K), scales (M): rows of x (M,K) as whole numbers, each with its scale. A row with a NaN or an infinity has
     * the scale NaN, one below 2^-40 the scale 0, and zeros. */
    void (*quantise)(const void *x, void *q, void *scales, size_t M, size_t K);

    /* The same of weights w (N,K), whose rows are a result's each. */
    void (*quantise_weights)(const void *w, void *q, void *scales, size_t N, size_t K);

    /* y (M,N) = a (M,K) b^T, b (N,K), whole numbers all: exact sums of 32 bits, each then rounded to an element. */
    void (*dot_int8)(const void *a, const void *b, void *y, size_t M, size_t N, size_t K);

    /* y (M,C): row m of x times scales[m]. */
    void (*scale_rows)(const void *x, const void *scales, void *y, size_t M, size_t C);

    /* As attention; queries, keys and values are quantised, weights have 14 bits. */
    int (*attention_int8)(const void *q, const void *k, const void *v, void *out, size_t M, size_t N, size_t C,
        size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start);

    /* y (M,K): x in numbers of 8 significant bits, of each pair of a row the second one first (bf16-1). */
    void (*bf16)(const void *x, void *y, size_t M, size_t K);

    /* As attention; queries, keys, values and weights are rounded so. */
    int (*attention_bf16)(const void *q, const void *k, const void *v, void *out, size_t M, size_t N, size_t C,
        size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start);

    /* Gradients. A block sum over rows: of each 64 rows a chain from +0 in their order; these sums added in order. */

    /* dw (N,K) = dy^T x, dy (M,N), x (M,K): block sums of multiply-adds. */
    void (*linear_dw)(const void *dy, const void *x, void *dw, size_t M, size_t N, size_t K);

    /* sum (C) of the rows of x (M,C): a block sum. Returns 0, or -1: out of memory. */
    int (*column_sum)(const void *x, void *sum, size_t M, size_t C);

    /* dx (M,C) of a layer norm of x; gamma (C). */
    void (*layernorm_dx)(const void *dy, const void *x, const void *gamma, double eps, void *dx, size_t M, size_t C);

    /* dgamma (C): a block sum of dy times what x is normed to. Returns 0, or -1: out of memory. */
    int (*layernorm_dgamma)(const void *dy, const void *x, double eps, void *dgamma, size_t M, size_t C);

    /* The same of a norm of x as a whole, of which `line` rows have a sum of their own. */
    void (*mapnorm_dx)(const void *dy, const void *x, const void *gamma, double eps, size_t line, void *dx, size_t M,
        size_t C);
    int (*mapnorm_dgamma)(const void *dy, const void *x, double eps, size_t line, void *dgamma, size_t M, size_t C);

    /* z (n) = x y */
    void (*times)(const void *x, const void *y, void *z, size_t n);

    /* sum (rows,C): the rows of x (M,C) that index (M) names it for, added in their order from +0; an index of `rows`
     * names none. */
    void (*scatter)(const void *x, const size_t *index, void *sum, size_t M, size_t rows, size_t C);

    /* The gradients of a set of attention (docs/arithmetic.md). Returns 0, or -1: out of memory. */
    int (*attention_dqkv)(const struct msagen_attention_set *set);
};

extern const struct msagen_reference msagen_reference_fma;     /* f32-fma-1, on any machine */
extern const struct msagen_reference msagen_reference_muladd;  /* f32-muladd-1 */
extern const struct msagen_reference msagen_reference_float64; /* "float64": no class that a board has */

/* f32-fma-1 by this machine's own multiply-adds, where it has them: the same bits, soon. */
const struct msagen_reference *msagen_reference_fastest_fma(void);

#endif

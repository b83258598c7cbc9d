/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels: both classes of arithmetic in plain loops. What generated code must equal bit for bit; the self-test's
 * known answer is computed with them. Matrices are row-major and dense; x (M,K) reads "M rows of K". */
#ifndef MSAGEN_REFERENCE_H
#define MSAGEN_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* x (n) = the self-test's pattern from place `first` on: uniform in [-1, 1), the same on every machine. */
void msagen_reference_pattern(uint32_t first, size_t n, float *x);

/* A grid of height x width places, of which the first rows and `row` columns have keys, row by row, and the rest is
 * padding. */
struct msagen_grid {
    size_t height, width, row;
    const size_t *place;          /* (M): y * width + x of each query */
    /* decomposed relative positions, (2 height - 1, d) and (2 width - 1, d), d the width of a head; NULL for none */
    const float *rel_h, *rel_w;
    const float *k_pad, *v_pad;   /* (C): key and value of each place that is padding; NULL: it does not count */
};

/* A weight as the packer has it. */
float msagen_reference_packed(float w);

struct msagen_reference {
    const char *arithmetic; /* the class */

    /* y (M,N) = x (M,K) w^T + bias, w (N,K); each sum starts from first (M,N), or from +0 where that is NULL, and takes k in order;
     * bias (N), added last, may be NULL. With `packed`, weights below 2^-60 count as 0, as the packer has them;
     * without, w is no weight.
     * Returns 0, or -1: out of memory. */
    int (*linear)(const float *x, const float *w, const float *bias, const float *first, int packed, float *y, size_t M,
        size_t N, size_t K);

    /* y (M,C) = layer norm of x; gamma, beta (C). y may be x. */
    void (*layernorm)(const float *x, const float *gamma, const float *beta, float eps, float *y, size_t M, size_t C);

    /* out (M,C) = softmax(scale q k^T + r) v, heads side by side; q (M,C), k and v (N,C); scale 1/sqrt(head width).
     *   tile     keys at a time; count <= N: keys that weigh anything
     *   grid     NULL, or where keys and queries stand and what r is
     * Returns 0, or -1: out of memory. */
    int (*attention)(const float *q, const float *k, const float *v, float *out, size_t M, size_t N, size_t C,
        size_t heads, size_t tile, size_t count,
                     const struct msagen_grid *grid);

    /* out (count,E) = Fourier features of places: sines, then cosines, of 2 pi (x, y) gaussian, xy (count,2) from -1 to 1;
     * gaussian (2,E/2), E even. As the prompt encoder computes them in float32. */
    void (*features)(const float *xy, size_t count, const float *gaussian, size_t E, float *out);

    float (*gelu)(float x);
    float (*fma)(float a, float b, float c); /* of the class: one rounding or two */
};

extern const struct msagen_reference msagen_reference_fma;    /* f32-fma-1, on any machine */
extern const struct msagen_reference msagen_reference_muladd; /* f32-muladd-1 */

/* f32-fma-1 by this machine's own multiply-adds, where it has them: the same bits, soon. */
const struct msagen_reference *msagen_reference_fastest_fma(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels: both classes of arithmetic in plain loops. What generated code must equal bit for bit; the self-test's
 * known answer is computed with them. Matrices are row-major and dense; x (M,K) reads "M rows of K". */
#ifndef MSAGEN_REFERENCE_H
#define MSAGEN_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* x (n) = the self-test's pattern from place `first` on: uniform in [-1, 1), the same on every machine. */
void msagen_reference_pattern(uint32_t first, size_t n, float *x);

struct msagen_reference {
    const char *arithmetic; /* the class */

    /* y (M,N) = x (M,K) w^T + bias, w (N,K); each sum starts from +0 and takes k in order; bias (N), added last, may be NULL.
     * Weights below 2^-60 count as 0, as the packer has them. Returns 0, or -1: out of memory. */
    int (*linear)(const float *x, const float *w, const float *bias, float *y, size_t M, size_t N, size_t K);

    /* y (M,C) = layer norm of x; gamma, beta (C). y may be x. */
    void (*layernorm)(const float *x, const float *gamma, const float *beta, float eps, float *y, size_t M, size_t C);

    /* out (M,C) = softmax(scale q k^T + r) v, heads side by side; q (M,C), k and v (N,C); scale 1/sqrt(head width).
     *   tile     keys at a time; count <= N: keys that weigh anything
     *   side     0, or the keys are a side x side grid, query i stands at place[i] of it, and r is the decomposed relative
     *            position: rel_h, rel_w (2 side - 1, head width), NULL for none
     * Returns 0, or -1: out of memory. */
    int (*attention)(const float *q, const float *k, const float *v, float *out, size_t M, size_t N, size_t C, size_t heads, size_t tile, size_t count,
                     size_t side, const size_t *place, const float *rel_h, const float *rel_w);

    /* out (g*g,E) = Fourier features of the positions of a g x g grid, row by row: sines, then cosines, of 2 pi (x, y) gaussian,
     * x and y from -1 to 1; gaussian (2,E/2), E even. As the prompt encoder computes them in float32. */
    void (*position)(const float *gaussian, size_t g, size_t E, float *out);

    float (*gelu)(float x);
    float (*fma)(float a, float b, float c); /* of the class: one rounding or two */
};

extern const struct msagen_reference msagen_reference_fma;    /* f32-fma-1 */
extern const struct msagen_reference msagen_reference_muladd; /* f32-muladd-1 */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of gradients, of the class of the file that includes this one: reference.c alone does, which has
 * real, tree_sum and packed_weight. Sums over rows are block sums: of each GRADIENT_BLOCK consecutive rows a chain from
 * +0 in their order, and these sums added in order. */
#ifndef MSAGEN_GRADIENTS_H
#define MSAGEN_GRADIENTS_H

enum { GRADIENT_BLOCK = 64 };

/* What holds a block's sum joins the sums of the blocks before it, of which there may be none. */
static void join_block(real *restrict sum, const real *restrict block, size_t count, int first)
{
    for (size_t i = 0; i < count; ++i)
        sum[i] = first ? block[i] : sum[i] + block[i];
}

/* Sums of 16 columns of dy^T x, x's as [rows][16], of one block. */
static void weight_sums(const real *restrict dy, size_t N, const real *restrict panel, size_t rows, real *restrict sum)
{
    real chain[16] = {0};
    for (size_t r = 0; r < rows; ++r)
        for (size_t j = 0; j < 16; ++j)
            chain[j] = msa_fma(dy[r * N], panel[r * 16 + j], chain[j]);
    memcpy(sum, chain, sizeof chain);
}

static void reference_linear_dw(const void *dys, const void *xs, void *dws, size_t M, size_t N, size_t K)
{
    const real *dy = dys, *x = xs;
    real *dw = dws, panel[GRADIENT_BLOCK * 16], sum[16];
    for (size_t first = 0; first < M; first += GRADIENT_BLOCK) {
        const size_t rows = M - first < GRADIENT_BLOCK ? M - first : GRADIENT_BLOCK;
        for (size_t k = 0; k < K; k += 16) {
            const size_t columns = K - k < 16 ? K - k : 16;
            for (size_t r = 0; r < rows; ++r)
                for (size_t j = 0; j < 16; ++j)
                    panel[r * 16 + j] = j < columns ? x[(first + r) * K + k + j] : 0.0f;
            for (size_t n = 0; n < N; ++n) {
                weight_sums(dy + first * N + n, N, panel, rows, sum);
                join_block(dw + n * K + k, sum, columns, first == 0);
            }
        }
    }
}

static int reference_column_sum(const void *xs, void *sums, size_t M, size_t C)
{
    const real *x = xs;
    real *block = malloc((C > 0 ? C : 1) * sizeof *block);
    if (!block)
        return -1;
    for (size_t m = 0; m < M; ++m) {
        const int begins = m % GRADIENT_BLOCK == 0;
        for (size_t c = 0; c < C; ++c)
            block[c] = (begins ? 0.0f : block[c]) + x[m * C + c];
        if (m + 1 == M || (m + 1) % GRADIENT_BLOCK == 0)
            join_block(sums, block, C, m < GRADIENT_BLOCK);
    }
    free(block);
    return 0;
}

/* Mean and 1 / deviation of a row, as the layer norm has them. */
struct moments {
    real mean, rstd;
};

static struct moments moments_of(const real *x, size_t C, double eps)
{
    struct moments m;
    real part[16] = {0};
    for (size_t c = 0; c < C; ++c)
        part[c % 16] = part[c % 16] + x[c];
    m.mean = tree_sum(part) / (real)C;
    memset(part, 0, sizeof part);
    for (size_t c = 0; c < C; ++c) {
        const real d = x[c] - m.mean;
        part[c % 16] = msa_fma(d, d, part[c % 16]);
    }
    m.rstd = 1.0f / msa_sqrt(tree_sum(part) / (real)C + (real)eps);
    return m;
}

/* Sums of a norm's gradient over `count` numbers, gamma having C: of t = dy gamma, and of t times what x is normed
 * to. */
static void norm_sums(const real *dy, const real *x, const real *gamma, size_t count, size_t C, struct moments m,
    real *first, real *second)
{
    real one[16] = {0}, two[16] = {0};
    for (size_t i = 0; i < count; ++i) {
        const size_t c = i % C;
        const real t = dy[i] * packed_weight(gamma[c]);
        one[c % 16] = one[c % 16] + t;
        two[c % 16] = msa_fma(t, (x[i] - m.mean) * m.rstd, two[c % 16]);
    }
    *first = tree_sum(one);
    *second = tree_sum(two);
}

/* dx of a norm, from the means of the two sums. */
static void norm_dx(const real *dy, const real *x, const real *gamma, size_t count, size_t C, struct moments m,
    real first, real second, real *dx)
{
    for (size_t i = 0; i < count; ++i) {
        const real h = (x[i] - m.mean) * m.rstd, t = dy[i] * packed_weight(gamma[i % C]);
        dx[i] = msa_fma(-h, second, t - first) * m.rstd;
    }
}

static void reference_layernorm_dx(const void *dys, const void *xs, const void *gamma, double eps, void *dxs, size_t M,
    size_t C)
{
    const real *dy = dys, *x = xs;
    for (size_t m = 0; m < M; ++m) {
        const struct moments of_row = moments_of(x + m * C, C, eps);
        real first, second;
        norm_sums(dy + m * C, x + m * C, gamma, C, C, of_row, &first, &second);
        norm_dx(dy + m * C, x + m * C, gamma, C, C, of_row, first / (real)C, second / (real)C, (real *)dxs + m * C);
    }
}

/* Block sums of dy times what x is normed to; one: of all rows, else NULL and each row has its own. */
static int norm_dgamma(const real *dy, const real *x, double eps, const struct moments *one, real *dgamma, size_t M,
    size_t C)
{
    real *block = malloc((C > 0 ? C : 1) * sizeof *block);
    if (!block)
        return -1;
    for (size_t m = 0; m < M; ++m) {
        const struct moments of_row = one ? *one : moments_of(x + m * C, C, eps);
        const int begins = m % GRADIENT_BLOCK == 0;
        for (size_t c = 0; c < C; ++c)
            block[c] = msa_fma(dy[m * C + c], (x[m * C + c] - of_row.mean) * of_row.rstd, begins ? 0.0f : block[c]);
        if (m + 1 == M || (m + 1) % GRADIENT_BLOCK == 0)
            join_block(dgamma, block, C, m < GRADIENT_BLOCK);
    }
    free(block);
    return 0;
}

static int reference_layernorm_dgamma(const void *dy, const void *x, double eps, void *dgamma, size_t M, size_t C)
{
    return norm_dgamma(dy, x, eps, NULL, dgamma, M, C);
}

static struct moments moments_of_map(const real *x, double eps, size_t line, size_t M, size_t C)
{
    const real count = (real)(M * C);
    struct moments of_map;
    real sum = 0, squares = 0;
    for (size_t m = 0; m < M; m += line)
        sum = sum + line_sum(x + m * C, line, C, NULL);
    of_map.mean = sum / count;
    for (size_t m = 0; m < M; m += line)
        squares = squares + line_sum(x + m * C, line, C, &of_map.mean);
    of_map.rstd = 1.0f / msa_sqrt(squares / count + (real)eps);
    return of_map;
}

static void reference_mapnorm_dx(const void *dys, const void *xs, const void *gamma, double eps, size_t line, void *dx,
    size_t M, size_t C)
{
    const real *dy = dys, *x = xs, count = (real)(M * C);
    const struct moments of_map = moments_of_map(x, eps, line, M, C);
    real first = 0, second = 0;
    for (size_t m = 0; m < M; m += line) {
        real one, two;
        norm_sums(dy + m * C, x + m * C, gamma, line * C, C, of_map, &one, &two);
        first = first + one;
        second = second + two;
    }
    norm_dx(dy, x, gamma, M * C, C, of_map, first / count, second / count, dx);
}

static int reference_mapnorm_dgamma(const void *dy, const void *x, double eps, size_t line, void *dgamma, size_t M,
    size_t C)
{
    const struct moments of_map = moments_of_map(x, eps, line, M, C);
    return norm_dgamma(dy, x, eps, &of_map, dgamma, M, C);
}

static void reference_times(const void *xs, const void *ys, void *zs, size_t n)
{
    const real *x = xs, *y = ys;
    real *z = zs;
    for (size_t i = 0; i < n; ++i)
        z[i] = x[i] * y[i];
}

static void reference_scatter(const void *xs, const size_t *index, void *sums, size_t M, size_t rows, size_t C)
{
    const real *x = xs;
    real *sum = sums;
    memset(sum, 0, rows * C * sizeof *sum);
    for (size_t m = 0; m < M; ++m)
        for (size_t c = 0; c < C && index[m] < rows; ++c)
            sum[index[m] * C + c] = sum[index[m] * C + c] + x[m * C + c];
}

#endif

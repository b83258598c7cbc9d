@ -- SPDX-License-Identifier: 0BSD
@ -- For vectors that flush subnormals: one function for all tiles that met one.
@ local activations = require "graph.activations"
/* A tile of a product as msa_tile_* compute it, the same chains in scalar arithmetic: c (rows, columns) from
 * a (rows, steps) and b (steps, columns). */
typedef struct {
    size_t rows, columns, ldb, cps;
    bool starts, residual; /* sums start from c; c is added at the end */
    unsigned char act; /* the activation that follows, 0 for none */
} msa_tile_shape;

__attribute__((cold, noinline))
static void $(name)(const msa_tile_shape *tile, const float *a, const volatile float *b, const float *bias, float *c,
    size_t steps, size_t lda, size_t bps, size_t ldc)
{
    for (size_t i = 0; i < tile->rows; ++i) {
        for (size_t j = 0; j < tile->columns; ++j) {
            const volatile float *const column = b + j / 16 * bps + j % 16;
            float *const to = c + i * ldc + j / 16 * tile->cps + j % 16;
            float sum = tile->starts ? *to : 0.0f;
            for (size_t k = 0; k < steps; ++k) {
                sum = msa_fma(a[i * lda + k], column[k * tile->ldb], sum);
            }
            if (bias != NULL) {
                sum = sum + bias[j];
            }
@ for i, act in ipairs(activations.in_registers) do
            if (tile->act == $(i)) {
                sum = $(act.scalar)(sum);
            }
@ end
            *to = tile->residual ? *to + sum : sum;
        }
    }
    msa_clear_flushed();
}


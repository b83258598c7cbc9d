@ -- SPDX-License-Identifier: 0BSD
@ -- For vectors that flush subnormals: one function for all widths.
/* mean and 1 / sqrt(variance + eps) of x (width): 16 interleaved partial sums and a fixed tree, in scalar arithmetic.
 */
__attribute__((cold, noinline))
static void $(name)(const volatile float *x, size_t width, float eps, float *mean, float *rstd)
{
    float sums[16] = { 0.0f }, squares[16] = { 0.0f };
    const float count = (float)width;
    for (size_t k = 0; k < width; ++k) {
        sums[k % 16] = sums[k % 16] + x[k];
    }
    *mean = msa_sum16(sums) / count;
    for (size_t k = 0; k < width; ++k) {
        const float d = x[k] - *mean;
        squares[k % 16] = msa_fma(d, d, squares[k % 16]);
    }
    *rstd = 1.0f / msa_sqrt(msa_sum16(squares) / count + eps);
    msa_clear_flushed();
}


@ -- SPDX-License-Identifier: 0BSD
/* f'(x) of f(x) =
 * $(formula). */
$(derivative)
/* z (rows, width) = dy f'(x), rows ldy, ldx and ldz apart, in whole vectors; z may be dy or x. */
void $(name)(const float *dy, const float *x, float *z, size_t rows, size_t width, size_t ldx, size_t ldy, size_t ldz)
{
    for (size_t i = 0; i < rows; ++i) {
        const float *const di = dy + i * ldy, *const xi = x + i * ldx;
        float *const zi = z + i * ldz;
        for (size_t j = 0; j < width; j += $(W)) {
            msa_store(zi + j, msa_vmul(msa_load(di + j), $(call)(msa_load(xi + j))));
        }
    }
}


@ -- SPDX-License-Identifier: 0BSD
/* z (rows, $(width)) = x y element by element, rows ldx, ldy and ldz apart; z may be x or y. */
void $(name)(const float *x, const float *y, float *z, size_t rows, size_t ldx, size_t ldy, size_t ldz)
{
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx, *const yi = y + i * ldy;
        float *const zi = z + i * ldz;
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(zi + j, msa_vmul(msa_load(xi + j), msa_load(yi + j)));
        }
    }
}


@ -- SPDX-License-Identifier: 0BSD
/* y (rows, $(width)) += x, rows ldx and ldy apart. */
void $(name)(const float *restrict x, float *restrict y, size_t rows, size_t ldx, size_t ldy)
{
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx;
        float *const yi = y + i * ldy;
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(yi + j, msa_vadd(msa_load(yi + j), msa_load(xi + j)));
        }
    }
}


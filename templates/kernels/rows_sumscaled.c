@ -- SPDX-License-Identifier: 0BSD
/* z (rows, $(width)) = y + s x in one multiply-add, rows ldx, ldy and ldz apart; ldx may be 0: one row for all. */
void $(name)(const float *x, const float *y, float *z, size_t rows, size_t ldx, size_t ldy, size_t ldz, float s)
{
    const msa_vec by = msa_splat(s);
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx, *const yi = y + i * ldy;
        float *const zi = z + i * ldz;
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(zi + j, msa_vfma(msa_load(xi + j), by, msa_load(yi + j)));
        }
    }
}


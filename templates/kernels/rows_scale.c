@ -- SPDX-License-Identifier: 0BSD
/* x (rows, $(width)) *= s, rows ldx apart. */
void $(name)(float *x, size_t rows, size_t ldx, float s)
{
    const msa_vec by = msa_splat(s);
    for (size_t i = 0; i < rows; ++i) {
        float *const xi = x + i * ldx;
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(xi + j, msa_vmul(msa_load(xi + j), by));
        }
    }
}


@ -- SPDX-License-Identifier: 0BSD
/* z (rows, $(width)) = s x, rows ldx and ldz apart. */
void $(name)(const float *x, float *z, size_t rows, size_t ldx, size_t ldz, float s)
{
    const msa_vec by = msa_splat(s);
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx;
        float *const zi = z + i * ldz;
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(zi + j, msa_vmul(msa_load(xi + j), by));
        }
    }
}


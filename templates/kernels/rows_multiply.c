@ -- SPDX-License-Identifier: 0BSD
/* z (rows, $(width)) = x y + 0, y one row for all, rows of the others ldx and ldz apart. */
void $(name)(const float *x, const float *y, float *z, size_t rows, size_t ldx, size_t ldz)
{
    const msa_vec zero = msa_splat(0.0f);
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx;
        float *const zi = z + i * ldz;
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(zi + j, msa_vfma(msa_load(xi + j), msa_load(y + j), zero));
        }
    }
}


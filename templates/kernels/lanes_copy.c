@ -- SPDX-License-Identifier: 0BSD
/* z (points, $(W)), rows ldz apart = x, from 0 to 255; NaN is 0. */
void $(name)(const float *restrict x, float *restrict z, size_t points, size_t ldz)
{
    for (size_t i = 0; i < points; ++i) {
        const msa_vec level = msa_vmax(msa_load(x + i * $(W)), msa_splat(0.0f));
        msa_store(z + i * ldz, msa_vmin(level, msa_splat(255.0f)));
    }
}


@ -- SPDX-License-Identifier: 0BSD
/* z (points, $(W)), rows ldz apart = x. */
void $(name)(const float *restrict x, float *restrict z, size_t points, size_t ldz)
{
    for (size_t i = 0; i < points; ++i) msa_store(z + i * ldz, msa_load(x + i * $(W)));
}


@ -- SPDX-License-Identifier: 0BSD
/* z ($(rows), $(C)) += x + y; rows of x $(ldx), y $(ldy) and z $(ldz) apart. */
void $(name)(const float *restrict x, const float *restrict y, float *restrict z)
{
    for (size_t i = 0; i < $(rows); ++i) {
        for (size_t j = 0; j < $(round16(C)); j += $(W)) msa_store(z + i * $(ldz) + j, msa_vadd(msa_load(z + i * $(ldz) + j), msa_vadd(msa_load(x + i * $(ldx) + j), msa_load(y + i * $(ldy) + j))));
    }
}


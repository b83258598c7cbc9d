@ -- SPDX-License-Identifier: 0BSD
/* y ($(rows), $(C)) += x; rows of x $(ldx) and of y $(ldy) apart. */
void $(name)(const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < $(rows); ++i) {
        for (size_t j = 0; j < $(round16(C)); j += $(W)) msa_store(y + i * $(ldy) + j, msa_vadd(msa_load(y + i * $(ldy) + j), msa_load(x + i * $(ldx) + j)));
    }
}


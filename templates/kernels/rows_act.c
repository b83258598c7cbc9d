@ -- SPDX-License-Identifier: 0BSD
/* x ($(rows), $(C)) = $(act)(x); rows $(ldx) apart. */
void $(name)(float *x)
{
    for (size_t i = 0; i < $(rows); ++i) {
        for (size_t j = 0; j < $(round16(C)); j += $(W)) msa_store(x + i * $(ldx) + j, $(vector)(msa_load(x + i * $(ldx) + j)));
    }
}


@ -- SPDX-License-Identifier: 0BSD
/* x ($(rows), $(C)) = gelu(x); rows $(ldx) apart. */
void $(name)(float *x)
{
    for (size_t i = 0; i < $(rows); ++i) {
        for (size_t j = 0; j < $(round16(C)); j += $(W)) msa_store(x + i * $(ldx) + j, msa_vgelu(msa_load(x + i * $(ldx) + j)));
    }
}


@ -- SPDX-License-Identifier: 0BSD
/* x ($(rows), $(C)) *= $(s); rows $(ldx) apart. */
void $(name)(float *x)
{
    const msa_vec by = msa_splat($(s)f);
    for (size_t i = 0; i < $(rows); ++i) {
        for (size_t j = 0; j < $(round16(C)); j += $(W)) msa_store(x + i * $(ldx) + j, msa_vmul(msa_load(x + i * $(ldx) + j), by));
    }
}


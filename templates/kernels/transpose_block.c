@ -- SPDX-License-Identifier: 0BSD
@ -- Rounds of interleaving rows i and i + W / 2 to rows 2 i and 2 i + 1 transpose W x W.
@ local rounds = kernels.isa.zip_low and math.tointeger(math.log(W, 2)) or 0
/* z (16, 16) = x transposed, rows ldx and ldz apart. */
static inline void $(name)(const float *restrict x, float *restrict z, size_t ldx, size_t ldz)
{
@ if rounds == 0 then
    for (size_t i = 0; i < 16; ++i) {
        for (size_t j = 0; j < 16; ++j) z[i * ldz + j] = x[j * ldx + i];
    }
@ else
    for (size_t i = 0; i < 16; i += $(W)) {
        for (size_t j = 0; j < 16; j += $(W)) {
            const float *const from = x + i * ldx + j;
            float *const to = z + j * ldz + i;
@   for r = 0, W - 1 do
            const msa_vec a0_$(r) = msa_load(from + $(r) * ldx);
@   end
@   for n = 1, rounds do
@     for r = 0, W // 2 - 1 do
            const msa_vec a$(n)_$(2 * r) = msa_vzip_low(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
            const msa_vec a$(n)_$(2 * r + 1) = msa_vzip_high(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
@     end
@   end
@   for r = 0, W - 1 do
            msa_store(to + $(r) * ldz, a$(rounds)_$(r));
@   end
        }
    }
@ end
}


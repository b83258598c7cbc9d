@ -- SPDX-License-Identifier: 0BSD
@ -- Rounds of interleaving rows i and i + W / 2 to rows 2 i and 2 i + 1.
@ local rounds = math.tointeger(math.log(W, 2))
/* z ($(W), $(W)) = x transposed, rows ldx and ldz apart. */
static inline void $(name)(const float *restrict x, float *restrict z, size_t ldx, size_t ldz)
{
@ for r = 0, W - 1 do
    const msa_vec a0_$(r) = msa_load(x + $(r) * ldx);
@ end
@ for n = 1, rounds do
@   for r = 0, W // 2 - 1 do
    const msa_vec a$(n)_$(2 * r) = msa_vzip_low(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
    const msa_vec a$(n)_$(2 * r + 1) = msa_vzip_high(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
@   end
@ end
@ for r = 0, W - 1 do
    msa_store(z + $(r) * ldz, a$(rounds)_$(r));
@ end
}


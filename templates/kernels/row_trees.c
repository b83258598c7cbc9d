@ -- SPDX-License-Identifier: 0BSD
@ -- Lanes i and i + half of each row meet; the lanes of two rows then lie in turn in one vector.
@ local half = W
/* to ($(W)): of each of $(W) rows of $(W) partial results the rest of the fixed tree over 16. */
static void $(name)(const float *part, float *to)
{
@ for r = 0, W - 1 do
    const msa_vec a$(W)_$(r) = msa_load(part + $(r * W));
@ end
@ while half > 1 do
@   for r = 0, half // 2 - 1 do
@     local one, other = ("a%d_%d"):format(half, r), ("a%d_%d"):format(half, r + half // 2)
    const msa_vec a$(half // 2)_$(r) = msa_v$(op)(msa_vzip_low($(one), $(other)), msa_vzip_high($(one), $(other)));
@   end
@   half = half // 2
@ end
    msa_store(to, a1_0);
}


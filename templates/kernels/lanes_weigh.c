@ -- SPDX-License-Identifier: 0BSD
/* z (points, 2, $(W)) $(add and "+" or "")= w x, w a number a complex point. */
void $(name)(const float *restrict x, float *restrict z, const float *restrict w, size_t points)
{
    for (size_t i = 0; i < points; ++i) {
        const msa_vec weight = msa_splat(w[i]);
@ for _, part in ipairs { 0, W } do
@   local at = ("2 * i * %d%s"):format(W, part == 0 and "" or " + " .. part)
@   if add then
        msa_store(z + $(at), msa_vfma(weight, msa_load(x + $(at)), msa_load(z + $(at))));
@   else
        msa_store(z + $(at), msa_vmul(weight, msa_load(x + $(at))));
@   end
@ end
    }
}


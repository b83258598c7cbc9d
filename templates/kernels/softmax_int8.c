@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ -- Sixteen weights from place `at` on, as numbers of 14 bits; see softmax.c for what is lifted.
@ local function sixteen(at, lifted, indent)
@   for v = 0, per - 1 do
@     local x = ("msa_vsub(msa_load(si + %s + %d), top_v)"):format(at, v * W)
@     if lifted then x = ("msa_vmax(msa_splat(MSA_EXP_CUT - 4.0f), %s)"):format(x) end
$(indent)const msa_vec r$(v) = msa_vadd(msa_vmul(msa_vexp($(x)), msa_splat(16383.0f)), msa_splat(MSA_WHOLE));
$(indent)t$(v) = msa_vadd(t$(v), msa_vsub(r$(v), msa_splat(MSA_WHOLE)));
@   end
@   for v = 0, per - 1 do
@     if form == "halves" then
@       for h, half in ipairs { "high", "low" } do
@         local value = integer.halves[half]:gsub("%f[%w]v%f[%W]", "r" .. v)
$(indent)msa_store_low8((int8_t *)(pi + $(at)) + $((h - 1) * 16 + v * W), $(value));
@       end
@     elseif vectors then
$(indent)msa_store_low16(pi + $(at) + $(v * W), r$(v));
@     else
$(indent)float n$(v)[$(W)];
$(indent)msa_store(n$(v), r$(v));
$(indent)for (size_t c = 0; c < $(W); ++c) pi[$(at) + $(v * W) + c] = (int16_t)msa_whole(n$(v)[c]);
@     end
@   end
@ end
/* One tile of keys for `rows` queries: p (rows, cols), rows ldp apart, becomes 16383 exp(s - m), rounded, of logits
 * s, rows ld apart, and zeros behind up to a multiple of 16; m is the largest logit so far, l the sum so far, and
 * alpha = exp(m before - m) is what earlier sums must be multiplied by. p may begin where s does, 2 ld apart: a weight
 * then lies before the logits that are still to be read. */
void $(name)(float *s, int16_t *p, float *restrict m, float *restrict l, float *restrict alpha, size_t rows,
    size_t cols, size_t ld, size_t ldp)
{
    const size_t padded = (cols + 15) / 16 * 16, whole = cols / 16 * 16;
    for (size_t i = 0; i < rows; ++i) {
        float *const si = s + i * ld;
        int16_t *const pi = p + i * ldp;
        float part[16];
        for (size_t k = cols; k < padded; ++k) si[k] = -FLT_MAX;
$(piece("row_tops", { last = "padded", store = true }))
        const float top = msa_max(m[i], msa_max16(part));
        const msa_vec top_v = msa_splat(top);
        alpha[i] = msa_exp(m[i] - top);
        m[i] = top;
@ for v = 0, per - 1 do
        t$(v) = msa_splat(0.0f);
@ end
        for (size_t k = 0; k < whole; k += 16) {
@ sixteen("k", false, "            ")
        }
        for (size_t k = whole; k < padded; k += 16) {
@ sixteen("k", true, "            ")
        }
        /* Whole numbers below 2^24 all: exact in any order. */
@ for v = 0, per - 1 do
        msa_store(part + $(v * W), t$(v));
@ end
        l[i] = msa_fma(l[i], alpha[i], msa_sum16(part));
    }
}


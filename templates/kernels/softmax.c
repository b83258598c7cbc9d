@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ -- Sixteen exponentials from place `at` on. A key that does not count lies as far below `top` as floats go, where the
@ -- exponential's sums would overflow before +0 takes their place: a product that traps overflow would end. Such a key
@ -- is lifted to where it is still +0.
@ local function sixteen(at, lifted, indent)
@   for v = 0, per - 1 do
@     local x = ("msa_vsub(msa_load(si + %s + %d), top_v)"):format(at, v * W)
@     if lifted then x = ("msa_vmax(msa_splat(MSA_EXP_CUT - 4.0f), %s)"):format(x) end
$(indent)const msa_vec e$(v) = msa_vexp($(x));
$(indent)msa_store(si + $(at) + $(v * W), e$(v));
$(indent)t$(v) = msa_vadd(t$(v), e$(v));
@   end
@ end
/* One tile of keys for `rows` queries: s (rows, cols), rows ld apart, becomes exp(s - m), m the largest logit so far, l
 * the sum so far, and alpha = exp(m before - m) is what earlier sums must be multiplied by.
@ if counted then
 * Keys from `count` on do not count.
@ end
 */
void $(name)(float *restrict s, float *restrict m, float *restrict l, float *restrict alpha,
@ if counted then
    size_t count,
@ end
    size_t rows, size_t cols, size_t ld)
{
    const size_t padded = (cols + 15) / 16 * 16$(counted and "" or ", whole = cols / 16 * 16");
    for (size_t i = 0; i < rows; ++i) {
        float *si = s + i * ld;
        float part[16];
        for (size_t k = $(counted and "count" or "cols"); k < padded; ++k) si[k] = -FLT_MAX;
$(piece("row_tops", { last = "padded" }))
        const float top = msa_max(m[i], msa_max16(part));
        const msa_vec top_v = msa_splat(top);
        alpha[i] = msa_exp(m[i] - top);
        m[i] = top;
@ for v = 0, per - 1 do
        t$(v) = msa_splat(0.0f);
@ end
@ if not counted then
        for (size_t k = 0; k < whole; k += 16) {
@ sixteen("k", false, "            ")
        }
@ end
        for (size_t k = $(counted and "0" or "whole"); k < padded; k += 16) {
@ sixteen("k", true, "            ")
        }
@ for v = 0, per - 1 do
        msa_store(part + $(v * W), t$(v));
@ end
        l[i] = msa_fma(l[i], alpha[i], msa_sum16(part));
    }
}


@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ local count = counted and "count" or "keys"
@ -- Sixteen exponentials from place `at` on. What does not count lies as far below `top` as floats go, where the
@ -- exponential's sums would overflow before +0 takes their place: it is lifted to where it is still +0.
@ local function sixteen(at, lifted, indent)
@   for v = 0, per - 1 do
@     local x = ("msa_vsub(msa_load(si + %s + %d), top_v)"):format(at, v * W)
@     if lifted then x = ("msa_vmax(msa_splat(MSA_EXP_CUT - 4.0f), %s)"):format(x) end
$(indent)const msa_vec e$(v) = msa_vexp($(x));
$(indent)msa_store(si + $(at) + $(v * W), e$(v));
$(indent)t$(v) = msa_vadd(t$(v), e$(v));
@   end
@ end
/* Each row of s (rows, keys), ld apart, becomes exp(s - m) / l, m its largest and l the sum of the exponentials, by 16
 * interleaved partial sums and a fixed tree. Rows end in +0.
@ if counted then
 * Keys from `count` on, which is at least 1, do not count: theirs are +0.
@ end
 */
void $(name)(float *s,
@ if counted then
    size_t count,
@ end
    size_t rows, size_t keys, size_t ld)
{
    const size_t padded = (keys + 15) / 16 * 16, whole = $(count) / 16 * 16, last = ($(count) + 15) / 16 * 16;
    for (size_t i = 0; i < rows; ++i) {
        float *const si = s + i * ld;
        float part[16];
        for (size_t k = $(count); k < last; ++k) {
            si[k] = -FLT_MAX;
        }
$(piece("row_tops", { last = "last", store = true }))
        const msa_vec top_v = msa_splat(msa_max16(part));
@ for v = 0, per - 1 do
        t$(v) = msa_splat(0.0f);
@ end
        for (size_t k = 0; k < whole; k += 16) {
@ sixteen("k", false, "            ")
        }
        if (whole < last) {
@ sixteen("whole", true, "            ")
        }
@ for v = 0, per - 1 do
        msa_store(part + $(v * W), t$(v));
@ end
        const msa_vec sum = msa_splat(msa_sum16(part));
        for (size_t k = 0; k < last; k += $(W)) {
            msa_store(si + k, msa_vdiv(msa_load(si + k), sum));
        }
        for (size_t k = last; k < padded; ++k) {
            si[k] = 0.0f;
        }
    }
}


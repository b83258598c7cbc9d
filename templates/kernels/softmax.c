@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ -- Several rows at once where lanes interleave, with trees and alphas of W rows in vectors.
@ local several = kernels.isa.zip_low and not flushes
@ local block = math.max(16, (kernels.isa.registers > 16 and 4 or 2) * W)
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
@ local function row_by_row()
    for (size_t i = 0; i < rows; ++i) {
        float *si = s + i * ld;
        float part[16];
        for (size_t k = $(counted and "count" or "cols"); k < padded; ++k) {
            si[k] = -FLT_MAX;
        }
$(piece("row_tops", { last = "padded", store = true }))
        const float top = msa_max(m[i], msa_max16(part));
        const msa_vec top_v = msa_splat(top);
        alpha[i] = msa_exp(m[i] - top);
        m[i] = top;
@   for v = 0, per - 1 do
        t$(v) = msa_splat(0.0f);
@   end
@   if not counted then
        for (size_t k = 0; k < whole; k += 16) {
@     sixteen("k", false, "            ")
        }
@   end
        for (size_t k = $(counted and "0" or "whole"); k < padded; k += 16) {
@     sixteen("k", true, "            ")
        }
@   for v = 0, per - 1 do
        msa_store(part + $(v * W), t$(v));
@   end
        l[i] = msa_fma(l[i], alpha[i], msa_sum16(part));
    }
@ end
@ -- The same of W rows: their tops, and how much their sums shrink; then their exponentials.
@ local function by_rows()
    for (size_t i = 0; i < rows; ++i) {
        for (size_t k = $(counted and "count" or "cols"); k < padded; ++k) {
            s[i * ld + k] = -FLT_MAX;
        }
    }
    for (size_t i = 0; i < rows; i += $(W)) {
        const size_t here = rows - i < $(W) ? rows - i : $(W);
        float part[$(W * W)], before[$(W)], top[$(W)], by[$(W)], sum[$(W)];
$(piece("tops_of_rows", { last = "padded" }))
        for (size_t r = 0; r < here; ++r) {
            float *const si = s + (i + r) * ld;
            const msa_vec top_v = msa_splat(top[r]);
@   for v = 0, per - 1 do
            msa_vec t$(v) = msa_splat(0.0f);
@   end
@   if not counted then
            for (size_t k = 0; k < whole; k += $(block)) {
@     for v = 0, block // W - 1 do
                const msa_vec x$(v) = msa_vsub(msa_load(si + k + $(v * W)), top_v);
@     end
$(piece("exponentials", { n = block // W, pad = "                " }))
@     for v = 0, block // W - 1 do
                msa_store(si + k + $(v * W), e$(v));
                t$(v % per) = msa_vadd(t$(v % per), e$(v));
@     end
            }
@   end
            for (size_t k = $(counted and "0" or "whole"); k < padded; k += 16) {
@   sixteen("k", true, "                ")
            }
$(piece("row_folded", { op = "add", pad = "            " }))
        }
        $(kernels:make("row_trees", "msa_sum_of_rows", { op = "add" }))(part, sum);
$(piece("sums_of_rows", {}))
    }
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
    const size_t padded = (cols + 15) / 16 * 16;
@ local side = several and block or 16
@ if not counted then
    const size_t whole = cols / $(side) * $(side);
@ end
@ if several then by_rows() else row_by_row() end
}


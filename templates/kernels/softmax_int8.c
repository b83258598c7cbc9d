@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ -- Several rows at once as in softmax.c.
@ local several = kernels.isa.zip_low and not flushes
@ local block = several and math.max(16, (kernels.isa.registers > 16 and 4 or 2) * W) or 16
@ -- The weights of vectors e0, e1... of exponentials as numbers of 14 bits: added to t0, t1..., stored from `at` on.
@ local function weights(count, at, indent)
@   for v = 0, count - 1 do
$(indent)const msa_vec w$(v) = msa_vadd(msa_vmul(e$(v), msa_splat(16383.0f)), msa_splat(MSA_WHOLE));
$(indent)t$(v % per) = msa_vadd(t$(v % per), msa_vsub(w$(v), msa_splat(MSA_WHOLE)));
@   end
@   for v = 0, count - 1 do
@     local place = v * W
@     if form == "halves" then
@       for h, half in ipairs { "high", "low" } do
@         local value = integer.halves[half]:gsub("%f[%w]v%f[%W]", "w" .. v)
@         local to = place // 16 * 32 + (h - 1) * 16 + place % 16
$(indent)msa_store_low8((int8_t *)(pi + $(at)) + $(to), $(value));
@       end
@     elseif vectors then
$(indent)msa_store_low16(pi + $(at) + $(place), w$(v));
@     else
$(indent)float n$(v)[$(W)];
$(indent)msa_store(n$(v), w$(v));
$(indent)for (size_t c = 0; c < $(W); ++c) pi[$(at) + $(place) + c] = (int16_t)msa_whole(n$(v)[c]);
@     end
@   end
@ end
@ -- Sixteen weights from place `at` on; see softmax.c for what is lifted.
@ local function sixteen(at, lifted, indent)
@   for v = 0, per - 1 do
@     local x = ("msa_vsub(msa_load(si + %s + %d), top_v)"):format(at, v * W)
@     if lifted then x = ("msa_vmax(msa_splat(MSA_EXP_CUT - 4.0f), %s)"):format(x) end
$(indent)const msa_vec e$(v) = msa_vexp($(x));
@   end
@   weights(per, at, indent)
@ end
@ local function row_by_row()
    for (size_t i = 0; i < rows; ++i) {
        float *const si = s + i * ld;
        int16_t *const pi = p + i * ldp;
        float part[16];
        for (size_t k = cols; k < padded; ++k) {
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
        for (size_t k = 0; k < whole; k += 16) {
@   sixteen("k", false, "            ")
        }
        for (size_t k = whole; k < padded; k += 16) {
@   sixteen("k", true, "            ")
        }
@   for v = 0, per - 1 do
        msa_store(part + $(v * W), t$(v));
@   end
        l[i] = msa_fma(l[i], alpha[i], msa_sum16(part));
    }
@ end
@ local function by_rows()
    for (size_t i = 0; i < rows; ++i) {
        for (size_t k = cols; k < padded; ++k) {
            s[i * ld + k] = -FLT_MAX;
        }
    }
    for (size_t i = 0; i < rows; i += $(W)) {
        const size_t here = rows - i < $(W) ? rows - i : $(W);
        float part[$(W * W)], before[$(W)], top[$(W)], by[$(W)], sum[$(W)];
$(piece("tops_of_rows", { last = "padded" }))
        for (size_t r = 0; r < here; ++r) {
            const float *const si = s + (i + r) * ld;
            int16_t *const pi = p + (i + r) * ldp;
            const msa_vec top_v = msa_splat(top[r]);
@   for v = 0, per - 1 do
            msa_vec t$(v) = msa_splat(0.0f);
@   end
            for (size_t k = 0; k < whole; k += $(block)) {
@   for v = 0, block // W - 1 do
                const msa_vec x$(v) = msa_vsub(msa_load(si + k + $(v * W)), top_v);
@   end
$(piece("exponentials", { n = block // W, pad = "                " }))
@   weights(block // W, "k", "                ")
            }
            for (size_t k = whole; k < padded; k += 16) {
@   sixteen("k", true, "                ")
            }
$(piece("row_folded", { op = "add", pad = "            " }))
        }
        $(kernels:make("row_trees", "msa_sum_of_rows", { op = "add" }))(part, sum);
$(piece("sums_of_rows", {}))
    }
@ end
/* One tile of keys for `rows` queries: p (rows, cols), rows ldp apart, becomes 16383 exp(s - m), rounded, of logits
 * s, rows ld apart, and zeros behind up to a multiple of 16; m is the largest logit so far, l the sum so far, and
 * alpha = exp(m before - m) is what earlier sums must be multiplied by. p may begin where s does, 2 ld apart: a weight
 * then lies before the logits that are still to be read. Sums are whole numbers below 2^24: exact in any order. */
void $(name)(float *s, int16_t *p, float *restrict m, float *restrict l, float *restrict alpha, size_t rows,
    size_t cols, size_t ld, size_t ldp)
{
    const size_t padded = (cols + 15) / 16 * 16, whole = cols / $(block) * $(block);
@ if several then by_rows() else row_by_row() end
}


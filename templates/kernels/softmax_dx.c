@ -- SPDX-License-Identifier: 0BSD
@ local per, full, tail = 16 // W, d // 16 * 16, d % 16
@ local count = counted and "count" or "keys"
/* The gradient of a softmax by its logits: each row of dp (rows, keys), the gradient by the weights p, becomes p (dp -
 * D), D = the sum of dy o over $(d) columns, by 16 interleaved partial sums and a fixed tree: o is the product of p and
 * the values, dy the gradient by it. Rows of dp, p, o, dy are ldd, ldp, ldo, ldy apart; those of dp end in +0.
@ if counted then
 * Keys from `count` on do not count: theirs are +0.
@ end
 */
void $(name)(const float *restrict dy, const float *restrict o, const float *restrict p, float *restrict dp,
@ if counted then
    size_t count,
@ end
    size_t rows, size_t keys, size_t ldp, size_t ldd, size_t ldo, size_t ldy)
{
    const size_t padded = (keys + 15) / 16 * 16, whole = $(count) / $(W) * $(W);
    for (size_t i = 0; i < rows; ++i) {
        const float *const di = dy + i * ldy, *const oi = o + i * ldo, *const pi = p + i * ldp;
        float *const ds = dp + i * ldd;
        float part[16];
@ for v = 0, per - 1 do
        msa_vec s$(v) = msa_splat(0.0f);
@ end
@ if full > 0 then
        for (size_t k = 0; k < $(full); k += 16) {
@   for v = 0, per - 1 do
            s$(v) = msa_vfma(msa_load(di + k + $(v * W)), msa_load(oi + k + $(v * W)), s$(v));
@   end
        }
@ end
@ for v = 0, per - 1 do
        msa_store(part + $(v * W), s$(v));
@ end
@ if tail > 0 then
        for (size_t k = 0; k < $(tail); ++k) part[k] = msa_fma(di[$(full) + k], oi[$(full) + k], part[k]);
@ end
        const float dot = msa_sum16(part);
        const msa_vec dot_v = msa_splat(dot);
        for (size_t k = 0; k < whole; k += $(W)) {
            msa_store(ds + k, msa_vmul(msa_load(pi + k), msa_vsub(msa_load(ds + k), dot_v)));
        }
        for (size_t k = whole; k < $(count); ++k) ds[k] = pi[k] * (ds[k] - dot);
        for (size_t k = $(count); k < padded; ++k) ds[k] = 0.0f;
    }
}


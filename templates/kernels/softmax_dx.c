@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ local count = counted and "count" or "keys"
/* The gradient of a softmax by its logits: each row of dp (rows, keys), the gradient by the weights p, becomes p (dp -
 * D), D = the sum of p dp, by 16 interleaved partial sums and a fixed tree. Rows of dp and p are ldd and ldp apart;
 * those of dp end in +0.
@ if counted then
 * Keys from `count` on do not count: theirs are +0.
@ end
 */
void $(name)(const float *restrict p, float *restrict dp,
@ if counted then
    size_t count,
@ end
    size_t rows, size_t keys, size_t ldp, size_t ldd)
{
    const size_t padded = (keys + 15) / 16 * 16, full = $(count) / 16 * 16, whole = $(count) / $(W) * $(W);
    for (size_t i = 0; i < rows; ++i) {
        const float *const pi = p + i * ldp;
        float *const ds = dp + i * ldd;
        float part[16];
@ for v = 0, per - 1 do
        msa_vec s$(v) = msa_splat(0.0f);
@ end
        for (size_t k = 0; k < full; k += 16) {
@ for v = 0, per - 1 do
            s$(v) = msa_vfma(msa_load(pi + k + $(v * W)), msa_load(ds + k + $(v * W)), s$(v));
@ end
        }
@ for v = 0, per - 1 do
        msa_store(part + $(v * W), s$(v));
@ end
        for (size_t k = full; k < $(count); ++k) {
            part[k - full] = msa_fma(pi[k], ds[k], part[k - full]);
        }
        const float sum = msa_sum16(part);
        const msa_vec sum_v = msa_splat(sum);
        for (size_t k = 0; k < whole; k += $(W)) {
            msa_store(ds + k, msa_vmul(msa_load(pi + k), msa_vsub(msa_load(ds + k), sum_v)));
        }
        for (size_t k = whole; k < $(count); ++k) {
            ds[k] = pi[k] * (ds[k] - sum);
        }
        for (size_t k = $(count); k < padded; ++k) {
            ds[k] = 0.0f;
        }
    }
}

@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ local full = C // 16
@ local tail = C % 16
@ local vectors = not flushes and full > 0
@ local mixed = (tail + W - 1) // W -- partial sums that vectors and the tail both add to
@ local what = squares and "the sum of (x - mean)^2" or "the sum of x"
@ local mean_of = squares and "const float *restrict mean, " or ""
/* sum[0] = $(what) (rows, $(C)), rows ldx apart, by 16 interleaved partial sums and a fixed tree. */
void $(name)(const float *restrict x, $(mean_of)float *restrict sum, size_t rows, size_t ldx)
{
    float part[16] = { 0.0f };
@ if squares then
    const float from = mean[0];
@ end
@ if vectors then
@   if squares then
    const msa_vec from_v = msa_splat(from);
@   end
@   for v = 0, per - 1 do
    msa_vec s$(v) = msa_splat(0.0f);
@   end
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx;
        for (size_t k = 0; k < $(full * 16); k += 16) {
@   for v = 0, per - 1 do
@     local value = ("msa_load(xi + k + %d)"):format(v * W)
@     if squares then
            const msa_vec d$(v) = msa_vsub($(value), from_v);
            s$(v) = msa_vfma(d$(v), d$(v), s$(v));
@     else
            s$(v) = msa_vadd(s$(v), $(value));
@     end
@   end
        }
@   if tail > 0 then
@     for v = 0, mixed - 1 do
        msa_store(part + $(v * W), s$(v));
@     end
        for (size_t k = 0; k < $(tail); ++k) {
            const float value = xi[$(full * 16) + k];
@     if squares then
            part[k] = msa_fma(value - from, value - from, part[k]);
@     else
            part[k] = part[k] + value;
@     end
        }
@     for v = 0, mixed - 1 do
        s$(v) = msa_load(part + $(v * W));
@     end
@   end
    }
@   for v = mixed, per - 1 do
    msa_store(part + $(v * W), s$(v));
@   end
@ else
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx;
        for (size_t k = 0; k < $(C); ++k) {
@   if squares then
            part[k % 16] = msa_fma(xi[k] - from, xi[k] - from, part[k % 16]);
@   else
            part[k % 16] = part[k % 16] + xi[k];
@   end
        }
    }
@ end
    sum[0] = msa_sum16(part);
}


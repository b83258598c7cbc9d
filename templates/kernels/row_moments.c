@ -- SPDX-License-Identifier: 0BSD
@ local per, full, tail = 16 // W, C // 16 * 16, C % 16
@ -- The partial sums of x, or of the squares of its distances from the mean.
@ local function sums(squares)
@   for v = 0, per - 1 do
    $(squares and "" or "msa_vec ")s$(v) = msa_splat(0.0f);
@   end
@   if full > 0 then
    for (size_t k = 0; k < $(full); k += 16) {
@     for v = 0, per - 1 do
@       if squares then
        const msa_vec d$(v) = msa_vsub(msa_load(x + k + $(v * W)), mean_v);
        s$(v) = msa_vfma(d$(v), d$(v), s$(v));
@       else
        s$(v) = msa_vadd(s$(v), msa_load(x + k + $(v * W)));
@       end
@     end
    }
@   end
@   for v = 0, per - 1 do
    msa_store(part + $(v * W), s$(v));
@   end
@   if tail > 0 then
    for (size_t k = 0; k < $(tail); ++k) {
@     if squares then
        part[k] = msa_fma(x[$(full) + k] - mean, x[$(full) + k] - mean, part[k]);
@     else
        part[k] = part[k] + x[$(full) + k];
@     end
    }
@   end
@ end
/* The mean of x ($(C)) and 1 / sqrt(variance + eps), as the layer norm has them. */
static void $(name)(const float *x, float eps, float *moments)
{
    float part[16];
@ sums(false)
    const float mean = msa_sum16(part) / $(C).0f;
@ if full > 0 then
    const msa_vec mean_v = msa_splat(mean);
@ end
@ sums(true)
    moments[0] = mean;
    moments[1] = 1.0f / msa_sqrt(msa_sum16(part) / $(C).0f + eps);
}


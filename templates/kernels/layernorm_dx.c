@ -- SPDX-License-Identifier: 0BSD
@ local per, full, tail = 16 // W, C // 16 * 16, C % 16
@ local moments = kernels:make("row_moments", "msa_row_moments_f32_" .. C, { C = C })
@ local function normed(k, indent, v)
$(indent)const msa_vec h$(v) = msa_vmul(msa_vsub(msa_load(xi + $(k)), mean), rstd);
$(indent)const msa_vec t$(v) = msa_vmul(msa_load(di + $(k)), msa_load(gamma + $(k)));
@ end
/* z (rows, $(C)) = the gradient of a layer norm by its input x, dy being the one by its result: with h = (x - mean)
 * rstd and t = dy gamma, ((t - sum t / $(C)) - h (sum t h / $(C))) rstd. Sums are of 16 interleaved partial sums and a
 * fixed tree. Rows are ldy, ldx and ldz apart; z may be dy or x, and ends in +0. */
void $(name)(const float *dy, const float *x, const float *gamma, float *z, size_t rows, size_t ldx, size_t ldy,
    size_t ldz, float eps)
{
    for (size_t i = 0; i < rows; ++i) {
        const float *const di = dy + i * ldy, *const xi = x + i * ldx;
        float *const zi = z + i * ldz;
        float of[2], part[16], dot[16];
        $(moments)(xi, eps, of);
@ if full > 0 then
        const msa_vec mean = msa_splat(of[0]), rstd = msa_splat(of[1]);
@ end
@ for v = 0, per - 1 do
        msa_vec s$(v) = msa_splat(0.0f), q$(v) = s$(v);
@ end
@ if full > 0 then
        for (size_t k = 0; k < $(full); k += 16) {
@   for v = 0, per - 1 do
@     normed("k + " .. v * W, "            ", v)
            s$(v) = msa_vadd(s$(v), t$(v));
            q$(v) = msa_vfma(t$(v), h$(v), q$(v));
@   end
        }
@ end
@ for v = 0, per - 1 do
        msa_store(part + $(v * W), s$(v));
        msa_store(dot + $(v * W), q$(v));
@ end
@ if tail > 0 then
        for (size_t k = 0; k < $(tail); ++k) {
            const float h = (xi[$(full) + k] - of[0]) * of[1], t = di[$(full) + k] * gamma[$(full) + k];
            part[k] = part[k] + t;
            dot[k] = msa_fma(t, h, dot[k]);
        }
@ end
        const float m1 = msa_sum16(part) / $(C).0f, m2 = msa_sum16(dot) / $(C).0f;
@ if full > 0 then
        const msa_vec first = msa_splat(m1), second = msa_splat(-m2);
        for (size_t k = 0; k < $(full); k += $(W)) {
@   normed("k", "            ", 0)
            msa_store(zi + k, msa_vmul(msa_vfma(h0, second, msa_vsub(t0, first)), rstd));
        }
@ end
@ if tail > 0 then
        for (size_t k = $(full); k < $(C); ++k) {
            const float h = (xi[k] - of[0]) * of[1];
            zi[k] = msa_fma(h, -m2, di[k] * gamma[k] - m1) * of[1];
        }
        for (size_t k = $(C); k < $(full + 16); ++k) {
            zi[k] = 0.0f;
        }
@ end
    }
}


@ -- SPDX-License-Identifier: 0BSD
@ local function block(count)
        {
            const float *below = x + i * $(W), *above = below + (taps - 1) * $(W);
@   for s = 0, count - 1 do
            msa_vec sum$(s) = msa_splat(0.0f);
@   end
            for (size_t j = 0; j < taps / 2; ++j) {
                const msa_vec tap = msa_splat(w[j]);
@   for s = 0, count - 1 do
                sum$(s) = msa_vfma(tap, msa_vadd(msa_load(below + $(s * W)), msa_load(above + $(s * W))), sum$(s));
@   end
                below += $(W);
                above -= $(W);
            }
            const msa_vec middle = msa_splat(w[taps / 2]);
@   for s = 0, count - 1 do
            msa_store(y + (i + $(s)) * $(W), msa_vfma(middle, msa_load(below + $(s * W)), sum$(s)));
@   end
        }
@ end
/* y (points, $(W)): y[i] = sum of w[j] x[i + j] in each lane, taps alike from both ends, an odd number; the outer
 * ones, which are small, come first. */
void $(name)(const float *restrict x, float *restrict y, const float *restrict w, size_t points, size_t taps)
{
    size_t i = 0;
    for (; i + $(sums) <= points; i += $(sums)) {
@ block(sums)
    }
    for (; i < points; ++i) {
@ block(1)
    }
}


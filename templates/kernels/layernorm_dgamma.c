@ -- SPDX-License-Identifier: 0BSD
@ local full, tail, wide = C // 16 * 16, C % 16, math.max(16, 4 * W)
@ local moments = kernels:make("row_moments", "msa_row_moments_f32_" .. C, { C = C })
@ -- Columns from `first` to `last`, `by` at a time.
@ local function strips(first, last, by)
@   if first == last then return end
    for (size_t k = $(first); k < $(last); k += $(by)) {
@   for v = 0, by // W - 1 do
        msa_vec s$(v) = msa_splat(0.0f);
@   end
        for (size_t i = 0; i < rows; ++i) {
            const msa_vec mean = msa_splat(of[2 * i]), rstd = msa_splat(of[2 * i + 1]);
            const float *const di = dy + i * ldy + k, *const xi = x + i * ldx + k;
@   for v = 0, by // W - 1 do
            s$(v) = msa_vfma(msa_load(di + $(v * W)), msa_vmul(msa_vsub(msa_load(xi + $(v * W)), mean), rstd), s$(v));
@   end
        }
@   for v = 0, by // W - 1 do
        msa_store(acc + k + $(v * W), block == 0 ? s$(v) : msa_vadd(msa_load(acc + k + $(v * W)), s$(v)));
@   end
    }
@ end
/* The gradient of a layer norm by gamma ($(C)), of a block of at most 64 rows, ldy and ldx apart: sums of dy (x - mean)
 * rstd down each column, in acc alone where the block is 0, else added to what is there. acc ends in +0. */
void $(name)(const float *restrict dy, const float *restrict x, float *restrict acc, size_t block, size_t rows,
    size_t ldx, size_t ldy, float eps)
{
    float of[128];
    for (size_t i = 0; i < rows; ++i) {
        $(moments)(x + i * ldx, eps, of + 2 * i);
    }
@ strips(0, full // wide * wide, wide)
@ strips(full // wide * wide, full, 16)
@ if tail > 0 then
    for (size_t k = $(full); k < $(C); ++k) {
        float s = 0.0f;
        for (size_t i = 0; i < rows; ++i) {
            s = msa_fma(dy[i * ldy + k], (x[i * ldx + k] - of[2 * i]) * of[2 * i + 1], s);
        }
        acc[k] = block == 0 ? s : acc[k] + s;
    }
    for (size_t k = $(C); k < $(full + 16); ++k) {
        acc[k] = 0.0f;
    }
@ end
}


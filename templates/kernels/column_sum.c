@ -- SPDX-License-Identifier: 0BSD
@ local full, tail, wide = C // 16 * 16, C % 16, math.max(16, 4 * W)
@ -- Columns from `first` to `last`, `by` at a time.
@ local function strips(first, last, by)
@   if first == last then return end
    for (size_t k = $(first); k < $(last); k += $(by)) {
@   for v = 0, by // W - 1 do
        msa_vec s$(v) = msa_splat(0.0f);
@   end
        for (size_t i = 0; i < rows; ++i) {
            const float *const xi = x + i * ldx + k;
@   for v = 0, by // W - 1 do
            s$(v) = msa_vadd(s$(v), msa_load(xi + $(v * W)));
@   end
        }
@   for v = 0, by // W - 1 do
        msa_store(acc + k + $(v * W), block == 0 ? s$(v) : msa_vadd(msa_load(acc + k + $(v * W)), s$(v)));
@   end
    }
@ end
/* Sums down the $(C) columns of a block of at most 64 rows of x, ldx apart: in acc alone where the block is 0, else
 * added to what is there. acc ends in +0. */
void $(name)(const float *restrict x, float *restrict acc, size_t block, size_t rows, size_t ldx)
{
@ strips(0, full // wide * wide, wide)
@ strips(full // wide * wide, full, 16)
@ if tail > 0 then
    for (size_t k = $(full); k < $(C); ++k) {
        float s = 0.0f;
        for (size_t i = 0; i < rows; ++i) {
            s = s + x[i * ldx + k];
        }
        acc[k] = block == 0 ? s : acc[k] + s;
    }
    for (size_t k = $(C); k < $(full + 16); ++k) {
        acc[k] = 0.0f;
    }
@ end
}


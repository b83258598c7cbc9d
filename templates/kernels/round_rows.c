@ -- SPDX-License-Identifier: 0BSD
@ local what = paired and "words of two numbers" or "floats, neighbours turned"
/* Rows of C floats, ldx apart, in bf16: $(what), rows ldy floats apart. y may be where x is. */
void $(name)(const float *x, float *y, size_t rows, size_t C, size_t ldx, size_t ldy)
{
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx;
        float *const yi = y + i * ldy;
        size_t k = 0;
@ if W > 1 then
        for (; k < C / $(W) * $(W); k += $(W)) {
@   if paired then
            msa_store_pairs(yi + k / 2, msa_vbf16(msa_load(xi + k)));
@   else
            msa_store(yi + k, msa_vturn(msa_vbf16(msa_load(xi + k))));
@   end
        }
@ end
        for (; k + 1 < C; k += 2) {
            const float first = msa_bf16(xi[k]), second = msa_bf16(xi[k + 1]);
@ if paired then
            yi[k / 2] = msa_pair(first, second);
@ else
            yi[k] = second;
            yi[k + 1] = first;
@ end
        }
@ if paired then
        if (k < C) {
            yi[k / 2] = msa_pair(msa_bf16(xi[k]), 0.0f);
        }
@ else
        if (k < C) {
            yi[k] = msa_bf16(xi[k]);
        }
@ end
    }
}


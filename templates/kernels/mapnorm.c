@ -- SPDX-License-Identifier: 0BSD
/* y (rows, $(width)) = (x - mean) deviation gamma + beta, rows ldx and ldy apart; w holds gamma and, $(width) further,
 * beta; y may be x. */
void $(name)(const float *x, const float *w, const float *mean, const float *deviation, float *y, size_t rows,
    size_t ldx, size_t ldy)
{
    const msa_vec from = msa_splat(mean[0]), times = msa_splat(deviation[0]);
    for (size_t i = 0; i < rows; ++i) {
        const float *const xi = x + i * ldx;
        float *const yi = y + i * ldy;
@ local normed = "msa_vmul(msa_vsub(msa_load(xi + j), from), times)"
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(yi + j, msa_vfma($(normed), msa_load(w + j), msa_load(w + $(width) + j)));
        }
    }
}


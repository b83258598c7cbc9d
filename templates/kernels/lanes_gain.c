@ -- SPDX-License-Identifier: 0BSD
@ local value = centre and "msa_vsub(msa_load(x + i), middle)" or "msa_load(x + i)"
@ if gain then value = ("msa_vmul(%s, msa_splat(*w++))"):format(value) end
@ local parameters = (centre and ", const float *restrict mean" or "") .. (gain and ", const float *restrict w" or "")
/* x (points, $(W)) = $(centre and "(x - mean)" or "x")$(gain and " w" or ""), w a number a point. */
void $(name)(float *restrict x$(parameters), size_t points)
{
@ if centre then
    const msa_vec middle = msa_load(mean);
@ end
    for (size_t i = 0; i < points * $(W); i += $(W)) {
        msa_store(x + i, $(value));
    }
}


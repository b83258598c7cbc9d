@ -- SPDX-License-Identifier: 0BSD
/* The largest of x (rows, columns), rows ldx apart, as the reference of grey levels: z[1] is the level of power
 * 2^z[2] where the largest has $(full). A frame without power is black. */
void $(name)(const float *restrict x, const float *restrict w, float *restrict z, size_t rows, size_t columns,
    size_t ldx)
{
    float most = 0.0f;
    for (size_t r = 0; r < rows; ++r) {
        const float *const row = x + r * ldx;
        size_t c = 0;
@ if W > 1 then
        if (columns >= $(W)) {
            msa_vec largest = msa_splat(most);
            float lanes[$(W)];
            for (; c + $(W) <= columns; c += $(W)) {
                largest = msa_vmax(msa_load(row + c), largest);
            }
            msa_store(lanes, largest);
            for (size_t l = 0; l < $(W); ++l) {
                most = msa_max(lanes[l], most);
            }
        }
@ end
        for (; c < columns; ++c) {
            most = msa_max(row[c], most);
        }
    }
    const float power = msa_min(msa_max(most, 0x1p-126f), 0x1p+127f);
    z[0] = w[0];
    z[1] = most > 0.0f ? msa_fma(-w[0], msa_log2_near(msa_mantissa(power)), $(full)) : -65536.0f;
    z[2] = msa_exponent(power);
    z[3] = w[3];
}


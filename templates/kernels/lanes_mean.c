@ -- SPDX-License-Identifier: 0BSD
/* z = the mean of each lane of x (points, $(W)): of partial sums over 256 points, which of 16-bit samples are exact. */
void $(name)(const float *restrict x, float *restrict z, size_t points)
{
    msa_vec all = msa_splat(0.0f);
    for (size_t i = 0; i < points; i += 256) {
        const size_t end = points - i < 256 ? points : i + 256;
        msa_vec sum = msa_splat(0.0f);
        for (size_t j = i; j < end; ++j) {
            sum = msa_vadd(sum, msa_load(x + j * $(W)));
        }
        all = msa_vadd(all, sum);
    }
    msa_store(z, msa_vmul(all, msa_splat($(share))));
}


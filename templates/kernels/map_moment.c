@ -- SPDX-License-Identifier: 0BSD
@ local eps_of = inverse and ", float eps" or ""
@ local what = inverse and "1 / sqrt(variance + eps)" or "the mean"
/* moment[0] = $(what) of a map of so many values, from the sums of its lines. */
void $(name)(const float *restrict sums, float *restrict moment, size_t lines, float values$(eps_of))
{
    float sum = 0.0f;
    for (size_t i = 0; i < lines; ++i) {
        sum = sum + sums[i];
    }
@ if inverse then
    moment[0] = 1.0f / msa_sqrt(sum / values + eps);
@ else
    moment[0] = sum / values;
@ end
}


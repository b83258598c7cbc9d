@ -- SPDX-License-Identifier: 0BSD
/* tops[i] becomes the largest magnitude of what it was and of row i of x, C floats, rows ldx apart, by their bits. */
void $(name)(const float *restrict x, float *restrict tops, size_t rows, size_t C, size_t ldx)
{
    for (size_t i = 0; i < rows; ++i) {
        const uint32_t top = msa_top(x + i * ldx, C);
        if (top > msa_bits(tops[i])) {
            tops[i] = msa_from_bits(top);
        }
    }
}


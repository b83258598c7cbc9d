@ -- SPDX-License-Identifier: 0BSD
@ local block = kernels:make("transpose_block", "msa_transpose_16x16", {})
/* Rows of x (rows, d), ldx apart, as columns of panels of 16: z [panel][d][16], the last one filled up with zeros. */
void $(name)(const float *restrict x, float *restrict z, size_t rows, size_t d, size_t ldx)
{
    for (size_t i = 0; i < rows; i += 16) {
        const size_t count = rows - i < 16 ? rows - i : 16, whole = count == 16 ? d / 16 * 16 : 0;
        const float *const from = x + i * ldx;
        float *const to = z + i * d;
        for (size_t j = 0; j < whole; j += 16) {
            $(block)(from + j, to + j * 16, ldx, 16);
        }
        for (size_t j = whole; j < d; ++j) {
            for (size_t c = 0; c < 16; ++c) {
                to[j * 16 + c] = c < count ? from[c * ldx + j] : 0.0f;
            }
        }
    }
}


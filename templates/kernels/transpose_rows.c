@ -- SPDX-License-Identifier: 0BSD
@ local block = kernels:make("transpose_block", "msa_transpose_16x16", {})
/* z (columns, rows) = x (rows, columns) transposed, rows ldx and ldz apart. Rows of z end in +0. */
void $(name)(const float *restrict x, float *restrict z, size_t rows, size_t columns, size_t ldx, size_t ldz)
{
    const size_t down = rows / 16 * 16, across = columns / 16 * 16, padded = (rows + 15) / 16 * 16;
    for (size_t j = 0; j < across; j += 16) {
        for (size_t i = 0; i < down; i += 16) {
            $(block)(x + i * ldx + j, z + j * ldz + i, ldx, ldz);
        }
    }
    for (size_t j = 0; j < columns; ++j) {
        for (size_t i = j < across ? down : 0; i < rows; ++i) {
            z[j * ldz + i] = x[i * ldx + j];
        }
        for (size_t i = rows; i < padded; ++i) {
            z[j * ldz + i] = 0.0f;
        }
    }
}


@ -- SPDX-License-Identifier: 0BSD
@ local square = W > 1 and kernels.isa.zip_low and kernels:square()
/* z (lines, columns) = x (columns, $(W)) transposed, rows of z ldz apart. */
void $(name)(const float *restrict x, float *restrict z, size_t lines, size_t columns, size_t ldz)
{
    size_t c = 0;
@ if square then
    if (lines == $(W)) {
        for (; c + $(W) <= columns; c += $(W)) {
            $(square)(x + c * $(W), z + c, $(W), ldz);
        }
    }
@ end
    for (; c < columns; ++c) {
        for (size_t l = 0; l < lines; ++l) {
            z[l * ldz + c] = x[c * $(W) + l];
        }
    }
}


@ -- SPDX-License-Identifier: 0BSD
@ local square = W > 1 and kernels.isa.zip_low and kernels:square()
/* z (columns, $(W)) = x (lines, columns) transposed, rows of x ldx apart; lanes from `lines` on are +0. */
void $(name)(const float *restrict x, float *restrict z, size_t lines, size_t columns, size_t ldx)
{
    size_t c = 0;
@ if square then
    if (lines == $(W)) {
        for (; c + $(W) <= columns; c += $(W)) {
            $(square)(x + c, z + c * $(W), ldx, $(W));
        }
    }
@ end
    for (; c < columns; ++c) {
        for (size_t l = 0; l < $(W); ++l) {
            z[c * $(W) + l] = l < lines ? x[l * ldx + c] : 0.0f;
        }
    }
}


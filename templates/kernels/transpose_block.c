@ -- SPDX-License-Identifier: 0BSD
@ local square = kernels.isa.zip_low and kernels:square()
/* z (16, 16) = x transposed, rows ldx and ldz apart. */
static inline void $(name)(const float *restrict x, float *restrict z, size_t ldx, size_t ldz)
{
@ if not square then
    for (size_t i = 0; i < 16; ++i) {
        for (size_t j = 0; j < 16; ++j) {
            z[i * ldz + j] = x[j * ldx + i];
        }
    }
@ else
    for (size_t i = 0; i < 16; i += $(W)) {
        for (size_t j = 0; j < 16; j += $(W)) {
            $(square)(x + i * ldx + j, z + j * ldz + i, ldx, ldz);
        }
    }
@ end
}


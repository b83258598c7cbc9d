@ -- SPDX-License-Identifier: 0BSD
@ local times = scaled and ", times s" or ""
/* Rows of C floats, ldx apart, as whole numbers, ldq bytes apart: `padded` of them and their scale$(times). q may be
 * where x is. */
void $(name)(const float *x, int8_t *q, size_t rows, size_t C, size_t ldx, size_t ldq, size_t padded
@ if scaled then
    , float s
@ end
    )
{
    for (size_t i = 0; i < rows; ++i) {
@ if scaled then
        const float scale = msa_quantise(x + i * ldx, q + i * ldq, C, padded) * s;
        msa_store_word(q + i * ldq + padded * sizeof(msa_number), msa_bits(scale));
@ else
        (void)msa_quantise(x + i * ldx, q + i * ldq, C, padded);
@ end
    }
}


@ -- SPDX-License-Identifier: 0BSD
@ local times = scaled and ", times s" or ""
@ local given = tops and " A row's largest magnitude is what tops says: these are some of its columns." or ""
/* Rows of C floats, ldx apart, as whole numbers, ldq bytes apart: `padded` of them and their scale$(times). q may be
 * where x is.$(given) */
void $(name)(const float *x,
@ if tops then
    const float *tops,
@ end
    int8_t *q, size_t rows, size_t C, size_t ldx, size_t ldq, size_t padded
@ if scaled then
    , float s
@ end
    )
{
    for (size_t i = 0; i < rows; ++i) {
@ if scaled then
        const float scale = msa_quantise(x + i * ldx, q + i * ldq, C, padded) * s;
        msa_store_word(q + i * ldq + padded * sizeof(msa_number), msa_bits(scale));
@ elseif tops then
        (void)msa_quantise_by(msa_bits(tops[i]), x + i * ldx, q + i * ldq, C, padded);
@ else
        (void)msa_quantise(x + i * ldx, q + i * ldq, C, padded);
@ end
    }
}


@ -- SPDX-License-Identifier: 0BSD
/* Logits of queries begin as the sums of their relative positions: s (queries, lines x columns) = rh[line] +
 * rw[column], rows of s lds apart, of rh and rw ldr. Lines are written in whole vectors: a row of s takes up to 15
 * floats more. */
void $(name)(const float *restrict rh, const float *restrict rw, float *restrict s, size_t queries, size_t lines,
    size_t columns, size_t ldr, size_t lds)
{
    for (size_t i = 0; i < queries; ++i) {
        const float *const rwi = rw + i * ldr;
        for (size_t y = 0; y < lines; ++y) {
            const msa_vec row = msa_splat(rh[i * ldr + y]);
            float *const si = s + i * lds + y * columns;
            for (size_t x = 0; x < columns; x += $(W)) {
                msa_store(si + x, msa_vadd(row, msa_load(rwi + x)));
            }
        }
    }
}


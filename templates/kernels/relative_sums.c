@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ local block = kernels:make("transpose_block", "msa_transpose_16x16", {})
/* What logits' gradients ds (queries, lines x columns) give their relative positions: drh[line] is the sum along a
 * line, drw[column] the one down a column. Rows of ds are lds apart, and are read up to 15 floats beyond their end; of
 * drh and drw ldr, and end in +0. */
void $(name)(const float *restrict ds, float *restrict drh, float *restrict drw, size_t queries, size_t lines,
    size_t columns, size_t lds, size_t ldr)
{
    const size_t down = (lines + 15) / 16 * 16, across = (columns + 15) / 16 * 16;
    float rows[256] = { 0.0f }, turned[256];
    for (size_t i = 0; i < queries; ++i) {
        const float *const di = ds + i * lds;
        float *const by_line = drh + i * ldr, *const by_column = drw + i * ldr;
        for (size_t x = 0; x < columns; x += $(W)) {
            msa_vec sum = msa_splat(0.0f);
            for (size_t y = 0; y < lines; ++y) {
                sum = msa_vadd(sum, msa_load(di + y * columns + x));
            }
            msa_store(by_column + x, sum);
        }
        for (size_t x = columns; x < across; ++x) {
            by_column[x] = 0.0f;
        }
        for (size_t y = 0; y < lines; y += 16) {
            const size_t high = lines - y < 16 ? lines - y : 16;
@ for v = 0, per - 1 do
            msa_vec s$(v) = msa_splat(0.0f);
@ end
            for (size_t x = 0; x < columns; x += 16) {
                const size_t wide = columns - x < 16 ? columns - x : 16;
                for (size_t r = 0; r < high; ++r) {
                    for (size_t c = 0; c < 16; c += $(W)) {
                        msa_store(rows + r * 16 + c, msa_load(di + (y + r) * columns + x + c));
                    }
                }
                $(block)(rows, turned, 16, 16);
                for (size_t c = 0; c < wide; ++c) {
@ for v = 0, per - 1 do
                    s$(v) = msa_vadd(s$(v), msa_load(turned + c * 16 + $(v * W)));
@ end
                }
            }
@ for v = 0, per - 1 do
            msa_store(by_line + y + $(v * W), s$(v));
@ end
        }
        for (size_t y = lines; y < down; ++y) {
            by_line[y] = 0.0f;
        }
    }
}


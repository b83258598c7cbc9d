@ -- SPDX-License-Identifier: 0BSD
@ local strip = 16
@ while strip * 2 <= 4 * W and dpad % (strip * 2) == 0 do strip = strip * 2 end
@ local vectors = strip // W
@ -- A row of a table: `to`, by the queries from `from` on, before `last`; the weight of query c is `weight`.
@ local function chain(to, from, last, weight)
            for (size_t j = 0; j < $(dpad); j += $(strip)) {
                float *const to = $(to) + j;
@ for v = 0, vectors - 1 do
                msa_vec s$(v) = msa_load(to + $(v * W));
@ end
                for (size_t c = $(from); c < $(last); ++c) {
                    const msa_vec by = msa_splat($(weight));
                    const float *const qc = qr + c * ldq + j;
@ for v = 0, vectors - 1 do
                    s$(v) = msa_vfma(by, msa_load(qc + $(v * W)), s$(v));
@ end
                }
@ for v = 0, vectors - 1 do
                msa_store(to + $(v * W), s$(v));
@ end
            }
@ end
/* Gradients by tables of relative positions, rows of $(dpad) floats: a query at (y, x) adds drh[line] q to row y - line
 * + lines - 1 of acc_h, and drw[column] q to row x - column + columns - 1 of acc_w. Queries q (, $(dpad)) are `rows`
 * rows of `width` places, the first one row `first` of the set. Rows of q are ldq apart, of drh and drw ldr. */
void $(name)(const float *restrict q, const float *restrict drh, const float *restrict drw, float *restrict acc_h,
    float *restrict acc_w, size_t first, size_t rows, size_t width, size_t lines, size_t columns, size_t ldr,
    size_t ldq)
{
    for (size_t r = 0; r < rows; ++r) {
        const float *const qr = q + r * width * ldq;
        const float *const line = drh + r * width * ldr, *const column = drw + r * width * ldr;
        for (size_t y = 0; y < lines; ++y) {
@ chain(("acc_h + (first + r + lines - 1 - y) * %d"):format(dpad), "0", "width", "line[c * ldr + y]")
        }
        for (size_t t = 0; t < 2 * columns - 1; ++t) {
            const size_t from = t < columns ? 0 : t - (columns - 1), last = t + 1 < width ? t + 1 : width;
@ chain(("acc_w + t * %d"):format(dpad), "from", "last", "column[c * ldr + (c + columns - 1 - t)]")
        }
    }
}


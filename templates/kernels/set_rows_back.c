@ -- SPDX-License-Identifier: 0BSD
@ local whole = d // W * W
/* The places of x, a grid of height rows, ld_row apart, of width places, ldx apart, get $(d) columns each from a set's
 * rows z, ldz apart: those of its `columns` places a row that are in the grid. */
void $(name)(const float *restrict z, float *restrict x, size_t height, size_t width, size_t columns, size_t ldx,
    size_t ld_row, size_t ldz)
{
    for (size_t y = 0; y < height; ++y) {
        for (size_t c = 0; c < width; ++c) {
            const float *const from = z + (y * columns + c) * ldz;
            float *const to = x + y * ld_row + c * ldx;
@ if whole > 0 then
            for (size_t j = 0; j < $(whole); j += $(W)) {
                msa_store(to + j, msa_load(from + j));
            }
@ end
@ if whole < d then
            for (size_t j = $(whole); j < $(d); ++j) {
                to[j] = from[j];
            }
@ end
        }
    }
}


@ -- SPDX-License-Identifier: 0BSD
@ local dpad = round16(d)
@ local function product(count, steps, apart)
@   return kernels:gemm { M = count, N = d, K = steps, lda = apart * ldr, ldb = dpad, bps = 16, ldc = apart * ldz,
@     init = "keep" }
@ end
@ local function call(kernel, ...)
        $(kernels:call(kernel, ...));
@ end
@ local by_line, by_column = product(width, lines, 1), product(rows, columns, width)
/* Gradients by queries go on with what relative positions give: z (queries, $(d)) += drh (queries, $(lines)) times rows
 * of th, then += drw (queries, $(columns)) times rows of tw. Queries are $(rows) rows of $(width) places, the first one
 * row `first` of the set. th and tw have their rows reversed, $(dpad) floats apart: a query at y meets those from
 * $(lines - 1) - y on. Rows of drh and drw are $(ldr) apart, of z $(ldz). */
void $(name)(const float *restrict drh, const float *restrict drw, const float *restrict th,
    const float *restrict tw, float *restrict z, size_t first)
{
    for (size_t r = 0; r < $(rows); ++r) {
@ call(by_line, ("drh + r * %d"):format(width * ldr), ("th + (%d - (first + r)) * %d"):format(lines - 1, dpad),
@   ("z + r * %d"):format(width * ldz))
    }
    for (size_t c = 0; c < $(width); ++c) {
@ call(by_column, ("drw + c * %d"):format(ldr), ("tw + (%d - c) * %d"):format(columns - 1, dpad),
@   ("z + c * %d"):format(ldz))
    }
}


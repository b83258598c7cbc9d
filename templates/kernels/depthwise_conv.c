@ -- SPDX-License-Identifier: 0BSD
@ local sum = "msa_splat(0.0f)"
@ for tap = 0, side * side - 1 do
@   local at = tap % side == 0 and "j" or tap % side == 1 and "ldx + j" or ("%d * ldx + j"):format(tap % side)
@   sum = ("msa_vfma(msa_load(row%d + %s), msa_load(w + %d + j), %s)"):format(tap // side, at, tap * width, sum)
@ end
/* y (columns, $(width)) = a depthwise $(side) x $(side) convolution of x + bias, of every `stride`-th place:
 * rows of pixels of x lie across apart, pixels of x and y ldx and ldy. */
void $(name)(const float *restrict x, const float *restrict w, const float *restrict bias, float *restrict y,
    size_t columns, size_t across, size_t stride, size_t ldx, size_t ldy)
{
    for (size_t i = 0; i < columns; ++i) {
        const float *const row0 = x + i * stride * ldx;
@ for row = 1, side - 1 do
        const float *const row$(row) = row$(row - 1) + across;
@ end
        float *const to = y + i * ldy;
        for (size_t j = 0; j < $(width); j += $(W)) msa_store(to + j, msa_vadd($(sum), msa_load(bias + j)));
    }
}


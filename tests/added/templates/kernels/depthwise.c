@ -- SPDX-License-Identifier: 0BSD
@ local sum = "msa_splat(0.0f)"
@ for tap = 0, 8 do
@   local row, column = ({ "top", "middle", "bottom" })[tap // 3 + 1], ({ "j", "ldx + j", "2 * ldx + j" })[tap % 3 + 1]
@   local from = ("%s + %s"):format(row, column)
@   sum = ("msa_vfma(msa_load(%s), msa_load(w + %d + j), %s)"):format(from, tap * width, sum)
@ end
/* y (columns, $(width)) = a depthwise 3 x 3 convolution of x + bias: its rows of pixels lie across apart, pixels of x
 * and y ldx and ldy. */
void $(name)(const float *restrict x, const float *restrict w, const float *restrict bias, float *restrict y,
    size_t columns, size_t across, size_t ldx, size_t ldy)
{
    for (size_t i = 0; i < columns; ++i) {
        const float *const top = x + i * ldx, *const middle = top + across, *const bottom = middle + across;
        float *const to = y + i * ldy;
        for (size_t j = 0; j < $(width); j += $(W)) msa_store(to + j, msa_vadd($(sum), msa_load(bias + j)));
    }
}


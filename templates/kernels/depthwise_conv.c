@ -- SPDX-License-Identifier: 0BSD
@ -- Weights stay in registers where they can: vectors that flush subnormals need a loop that can be done once more.
@ local held = not kernels.isa.flushes and side * side + 3 <= kernels.isa.registers
@ local function sum_of(weight, step)
@   local sum = "msa_splat(0.0f)"
@   for tap = 0, side * side - 1 do
@     local column = tap % side
@     local along = column == 1 and " + ldx" or column > 1 and (" + %d * ldx"):format(column) or ""
@     local from = ("row%d%s"):format(tap // side, along)
@     sum = ("msa_vfma(msa_load(%s%s), %s, %s)"):format(from, step, weight(tap), sum)
@   end
@   return sum
@ end
@ local function rows(pad, first)
$(pad)const float *const row0 = $(first);
@   for row = 1, side - 1 do
$(pad)const float *const row$(row) = row$(row - 1) + across;
@   end
@ end
/* y (columns, $(width)) = a depthwise $(side) x $(side) convolution of x + bias, of every `stride`-th place:
 * rows of pixels of x lie across apart, pixels of x and y ldx and ldy. */
void $(name)(const float *restrict x, const float *restrict w, const float *restrict bias, float *restrict y,
    size_t columns, size_t across, size_t stride, size_t ldx, size_t ldy)
{
@ if held then
    for (size_t j = 0; j < $(width); j += $(W)) {
@   for tap = 0, side * side - 1 do
        const msa_vec w$(tap) = msa_load(w + $(tap == 0 and "" or tap * width .. " + ")j);
@   end
        const msa_vec last = msa_load(bias + j);
        for (size_t i = 0; i < columns; ++i) {
@   rows("            ", "x + i * stride * ldx + j")
            msa_store(y + i * ldy + j, msa_vadd($(sum_of(function(tap) return "w" .. tap end, "")), last));
        }
    }
@ else
    for (size_t i = 0; i < columns; ++i) {
@   rows("        ", "x + i * stride * ldx")
        float *const to = y + i * ldy;
@   local function weight(tap) return ("msa_load(w + %sj)"):format(tap == 0 and "" or tap * width .. " + ") end
@   local sum = sum_of(weight, " + j")
        for (size_t j = 0; j < $(width); j += $(W)) {
            msa_store(to + j, msa_vadd($(sum), msa_load(bias + j)));
        }
    }
@ end
}


@ -- SPDX-License-Identifier: 0BSD
@ local wrapped = require("emit.print").wrapped
@ local from = b_type ~= "float" and "pairs" or "b"
@ local closing = (paired or widened) and "" or " */"
@ local panel = ldb ~= 16 and ("; rows of b %d"):format(ldb) or ""
@ -- Floats of a panel in scratch, of so many steps.
@ local function in_room(count) return (count:find " " and "(%s) * 16" or "%s * 16"):format(count) end
@ -- A tile of block b, whose first step of k is `first`.
@ local function call(b, first, count, row, column, pad)
@   local n = column.parts and " + n" or ""
@   local words = { "a + i * lda" .. (first and " + " .. first or ""), widened and "room" or from .. " + j * bps" }
@   if first and not widened then words[2] = ("%s + %s * %d"):format(words[2], first, ldb) end
@   words[2] = words[2] .. n
@   if bias and b == #blocks then words[3] = "bias + j * 16" .. n end
@   words[#words + 1] = ("c + i * ldc + j * %d%s"):format(cps, n)
@   words[#words + 1] = count
@   if row.mr > 1 then words[#words + 1] = "lda" end
@   if column.np > 1 then words[#words + 1] = widened and in_room(count) or "bps" end
@   if row.mr > 1 then words[#words + 1] = "ldc" end
@   if ahead then words[#words + 1] = "next" end
@   if column.parts then
$(pad)for (size_t n = 0; n < 16; n += $(16 // column.parts)) {
$(wrapped(("%s    %s(%s);"):format(pad, tile(b, row.mr, column), table.concat(words, ", "))))
$(pad)}
@   else
$(wrapped(("%s%s(%s);"):format(pad, tile(b, row.mr, column), table.concat(words, ", "))))
@   end
@   if ahead then
$(pad)next += steps$(ahead > 1 and (" * %d"):format(ahead) or "");
@   end
@   if column.parts and not activation.in_registers and b == #blocks then
$(pad)for (size_t r = 0; r < $(row.mr); ++r) {
$(pad)    float *const cr = c + (i + r) * ldc + j * $(cps);
$(pad)    for (size_t n = 0; n < 16; n += $(W)) msa_store(cr + n, $(activation.vector)(msa_load(cr + n)));
$(pad)}
@   end
@ end
@ local function loop(variable, list, i, ends, by, pad)
@   local first, last = i == 1 and "0" or ends[1], i == #list and ends[2] or ends[1]
@   local step = list[i][by] == 1 and "++" .. variable or ("%s += %d"):format(variable, list[i][by])
$(pad)for (size_t $(variable) = $(first); $(variable) < $(last); $(step)) {
@ end
@ local across, down = { "j", columns, { "wide", "panels" }, "np" }, { "i", tiling.rows, { "upper", "rows" }, "mr" }
@ local function block(b, first, count, pad)
@   local outer, inner = across, down
@   if order == "rows" then outer, inner = down, across end
@   for x = 1, #outer[2] do
@     loop(outer[1], outer[2], x, outer[3], outer[4], pad)
@     if widened then
@       local from_here = first and (" + %s * 16"):format(first) or ""
@       local widen = ("%s    %s(b + j * bps%s, room, %d, %s, bps);"):format(pad,
@         kernels:make("widen_bf16", "msa_widen_bf16", {}), from_here, outer[2][x].np, count)
$(wrapped(widen))
@     end
@     if ahead then
@       local there = ("(j + %d) * bps"):format(outer[2][x].np)
@       there = widened and ("(const float *)(const void *)(b + %s)"):format(there) or from .. " + " .. there
$(pad)    const float *next = $(there);
@     end
@     for y = 1, #inner[2] do
@       loop(inner[1], inner[2], y, inner[3], inner[4], pad .. "    ")
@       local one, other = outer[2][x], inner[2][y]
@       call(b, first, count, one.mr and one or other, one.np and one or other, pad .. "        ")
$(pad)    }
@     end
$(pad)}
@   end
@ end
/* c (rows, 16 x panels) $(residual and "+=" or "=") $(formula), a (rows, steps): rows of a are lda apart, of c ldc;
 * b is in panels of 16 columns, bps apart$(panel), the last one filled up with zeros.$(closing)
@ if paired then
 * A step is a pair in bf16.
@ elseif widened then
 * a is in bf16, floats whose neighbours are turned; b in pairs, which become such floats in scratch.
@ end
@ if paired or widened then
 */
@ end
void $(name)(const float *restrict a, const $(b_type) *restrict b,
@ if bias then
    const float *restrict bias,
@ end
@ if widened then
    int8_t *restrict scratch,
@ end
    float *restrict c, size_t rows, size_t panels, size_t steps, size_t lda, size_t bps, size_t ldc
@ if #tiling.rows > 1 then
    , size_t upper
@ end
@ if #columns > 1 then
    , size_t wide
@ end
@ if kinds > 1 then
    , size_t block, size_t last
@ end
    )
{
@ if widened then
    float *const room = (float *)(void *)scratch;
@ elseif from == "pairs" then
    const float *const pairs = (const float *)(const void *)b;
@ end
@ if kinds == 1 then
@   block(1, nil, "steps", "    ")
@ else
@   block(1, nil, "block", "    ")
@   if kinds > 2 then
    for (size_t k = block; k < last; k += block) {
@     block(2, "k", "block", "        ")
    }
@   end
@   block(#blocks, "last", "steps - last", "    ")
@ end
}


@ -- SPDX-License-Identifier: 0BSD
@ local wrapped = require("emit.print").wrapped
@ local biased = integer.biased and form == "bytes"
@ local scales = out ~= "first" and out ~= "next" and out ~= "sums"
@ local at = not out:find "^values" and out ~= "sums"
@ local function call(row, column, pad)
@   local words = { "a + i * lda", relaid and "room" or "b + j * bps" }
@   if scales then words[#words + 1] = "scales + j * 16" end
@   if biased then words[#words + 1] = "sums + j * 16" end
@   if bias then words[#words + 1] = "bias + j * 16" end
@   if out == "values_next" then words[#words + 1] = "alpha + i" end
@   words[#words + 1], words[#words + 2] = "c + i * ldc + j * 16", "steps"
@   if row.mr > 1 then words[#words + 1] = "lda" end
@   if column.np > 1 then words[#words + 1] = "bps" end
@   if row.mr > 1 then words[#words + 1] = "ldc" end
@   if at then words[#words + 1] = "at" end
@   if ahead then words[#words + 1] = "next" end
$(wrapped(("%s%s(%s);"):format(pad, tile(row.mr, column), table.concat(words, ", "))))
@   if ahead then
$(pad)next += steps * $(ahead);
@   end
@ end
@ local function loop(variable, list, i, ends, by, pad)
@   local first, last = i == 1 and "0" or ends[1], i == #list and ends[2] or ends[1]
@   local step = list[i][by] == 1 and "++" .. variable or ("%s += %d"):format(variable, list[i][by])
$(pad)for (size_t $(variable) = $(first); $(variable) < $(last); $(step)) {
@ end
@ local outer, inner = { "j", columns, { "wide", "panels" }, "np" }, { "i", tiling.rows, { "upper", "rows" }, "mr" }
@ if order == "rows" and not relaid then outer, inner = inner, outer end
@ local sums = (relaid or form == "bytes") and ", then -128 times sums" or ""
@ local own = not at and "" or ";\n * a row's own scale is `at` bytes behind its beginning"
/* c (rows, 16 x panels) = floats of a (rows, steps) b (steps, 16 x panels), $(form): $(formula).
 * Rows of a are lda bytes, of c ldc floats apart; b are panels of 16 columns, bps bytes each, then scales$(sums)$(own).
@ if relaid then
 * room is scratch, where panels lie as they are multiplied.
@ end
 */
void $(name)(const int8_t *restrict a, const int8_t *restrict b,
@ if bias then
    const float *restrict bias,
@ end
@ if out == "values_next" then
    const float *restrict alpha,
@ end
@ if relaid then
    int8_t *restrict room,
@ end
    float *restrict c, size_t rows, size_t panels, size_t steps, size_t lda, size_t ldc
@ if strides then
    , size_t bps
@ end
@ if at then
    , size_t at
@ end
@ if relaid then
    , size_t words
@ end
@ if #tiling.rows > 1 then
    , size_t upper
@ end
@ if #columns > 1 then
    , size_t wide
@ end
    )
{
@ local stored = relaid and "words * 64" or "bps"
@ if scales then
    const float *const scales = (const float *)(const void *)(b + panels * ($(stored)));
@ end
@ if biased then
    const int32_t *const sums = (const int32_t *)(const void *)(b + panels * ($(stored) + 64));
@ end
@ for x = 1, #outer[2] do
@   loop(outer[1], outer[2], x, outer[3], outer[4], "    ")
@   if relaid then
        $(kernels:make("relay_int8", "msa_relay_int8", { form = form, number = number }))(b + j * words * 64, room,
            $(outer[2][x].np), words);
@   end
@   if ahead then
        const int8_t *next = b + (j + $(outer[2][x].np)) * $(relaid and "words * 64" or "bps");
@   end
@   for y = 1, #inner[2] do
@     loop(inner[1], inner[2], y, inner[3], inner[4], "        ")
@     local one, other = outer[2][x], inner[2][y]
@     call(one.mr and one or other, one.np and one or other, "            ")
        }
@   end
    }
@ end
}


@ -- SPDX-License-Identifier: 0BSD
@ local wrapped = require("emit.print").wrapped
@ local biased = integer.biased and form == "bytes"
@ local scales = out ~= "first" and out ~= "next"
@ local function call(row, column, pad)
@   local words = { "a + i * lda", "b + j * bps" }
@   if scales then words[#words + 1] = "scales + j * 16" end
@   if biased then words[#words + 1] = "sums + j * 16" end
@   if bias then words[#words + 1] = "bias + j * 16" end
@   if out == "values_next" then words[#words + 1] = "alpha + i" end
@   words[#words + 1], words[#words + 2] = "c + i * ldc + j * 16", "steps"
@   if row.mr > 1 then words[#words + 1] = "lda" end
@   if column.np > 1 then words[#words + 1] = "bps" end
@   if row.mr > 1 then words[#words + 1] = "ldc" end
@   if out ~= "values" and out ~= "values_next" then words[#words + 1] = "at" end
$(wrapped(("%s%s(%s);"):format(pad, tile(row.mr, column), table.concat(words, ", "))))
@ end
@ local function loop(variable, list, i, ends, by, pad)
@   local first, last = i == 1 and "0" or ends[1], i == #list and ends[2] or ends[1]
@   local step = list[i][by] == 1 and "++" .. variable or ("%s += %d"):format(variable, list[i][by])
$(pad)for (size_t $(variable) = $(first); $(variable) < $(last); $(step)) {
@ end
@ local outer, inner = { "j", columns, { "wide", "panels" }, "np" }, { "i", tiling.rows, { "upper", "rows" }, "mr" }
@ if order == "rows" then outer, inner = inner, outer end
@ local sums = form == "bytes" and ", then -128 times sums" or ""
@ local own = out:find "^values" and "" or ";\n * a row's own scale is `at` bytes behind its beginning"
/* c (rows, 16 x panels) = floats of a (rows, steps words) b (steps words, 16 x panels): $(formula).
 * a is lda bytes, c ldc floats apart; b are panels of 16 columns, then scales$(sums)$(own). */
void $(name)(const int8_t *restrict a, const int8_t *restrict b,
@ if bias then
    const float *restrict bias,
@ end
@ if out == "values_next" then
    const float *restrict alpha,
@ end
    float *restrict c, size_t rows, size_t panels, size_t steps, size_t lda, size_t ldc
@ if out ~= "values" and out ~= "values_next" then
    , size_t at
@ end
@ if #tiling.rows > 1 then
    , size_t upper
@ end
@ if #columns > 1 then
    , size_t wide
@ end
    )
{
    const size_t bps = steps * 64;
@ if scales then
    const float *const scales = (const float *)(const void *)(b + panels * bps);
@ end
@ if biased then
    const int32_t *const sums = (const int32_t *)(const void *)(b + panels * (bps + 64));
@ end
@ for x = 1, #outer[2] do
@   loop(outer[1], outer[2], x, outer[3], outer[4], "    ")
@   for y = 1, #inner[2] do
@     loop(inner[1], inner[2], y, inner[3], inner[4], "        ")
@     local one, other = outer[2][x], inner[2][y]
@     call(one.mr and one or other, one.np and one or other, "            ")
        }
@   end
    }
@ end
}


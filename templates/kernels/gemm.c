@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ local function fill(j, np, pad)
@   for v = 0, np * per - 1 do
$(pad)msa_store(c + i * $(ldc) + $(j) * $(cps) + $(v // per * cps + v % per * W), msa_splat(0.0f));
@   end
@ end
@ local function finish(j, np, pad)
@   for v = 0, np * per - 1 do
@     local where = ("c + i * %d + %s * %d + %d"):format(ldc, j, cps, v // per * cps + v % per * W)
@     local value = ("msa_load(%s)"):format(where)
@     if init == "bias" then value = ("msa_vadd(%s, msa_load(bias + %s * 16 + %d))"):format(value, j, v * W) end
@     if act ~= "none" then value = ("msa_v%s(%s)"):format(act, value) end
$(pad)msa_store($(where), $(value));
@   end
@ end
/* c ($(M), $(N)) = $(formula), a ($(M), $(K)), b ($(K), $(N)). Rows of a are $(lda) apart, of c $(ldc);
 * b in panels of 16 columns, the last one filled up with zeros. $(M * N * K) multiply-adds. */
void $(name)(const float *restrict a, const float *restrict b,$(init == "bias" and " const float *restrict bias," or "") float *restrict c)
{
@ if #blocks > 1 and init ~= "keep" then
    for (size_t i = 0; i < $(M); ++i) {
        for (size_t j = 0; j < $(panels); ++j) {
@   fill("j", 1, "            ")
        }
    }
@ end
@ for _, block in ipairs(blocks) do
@   for _, column in ipairs(columns) do
    for (size_t j = $(column.first); j < $(column.last); j += $(column.np)) {
@     if #blocks == 1 and init ~= "keep" then
        for (size_t i = 0; i < $(M); ++i) {
@       fill("j", column.np, "            ")
        }
@     end
@     for _, row in ipairs(rows) do
        for (size_t i = $(row.first); i < $(row.last); i += $(row.mr)) {
            $(tile(row.mr, column.np, block.count))(a + i * $(lda) + $(block.first), b + j * $(bps) + $(block.first * ldb), c + i * $(ldc) + j * $(cps));
        }
@     end
@     if #blocks == 1 and finishes then
        for (size_t i = 0; i < $(M); ++i) {
@       finish("j", column.np, "            ")
        }
@     end
    }
@   end
@ end
@ if #blocks > 1 and finishes then
    for (size_t i = 0; i < $(M); ++i) {
        for (size_t j = 0; j < $(panels); ++j) {
@   finish("j", 1, "            ")
        }
    }
@ end
}


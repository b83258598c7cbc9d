@ -- SPDX-License-Identifier: 0BSD
/* c ($(M), $(N)) $(residual and "+=" or "=") $(formula), a ($(M), $(K)), b ($(K), $(N)). Rows of a are $(lda) apart, of c $(ldc);
 * b in panels of 16 columns, the last one filled up with zeros. $(M * N * K) multiply-adds. */
void $(name)(const float *restrict a, const float *restrict b,$(init == "bias" and " const float *restrict bias," or "") float *restrict c)
{
@ local function call(b, row, column, pad)
@   local n = column.parts and " + n" or ""
@   local bias = init == "bias" and b == #blocks and (" bias + j * 16%s,"):format(n) or ""
@   local loop = column.parts and ("for (size_t n = 0; n < 16; n += %d) "):format(16 // column.parts) or ""
$(pad)$(loop)$(tile(b, row.mr, column))(a + i * $(lda) + $(blocks[b].first), b + j * $(bps) + $(blocks[b].first * ldb)$(n),$(bias) c + i * $(ldc) + j * $(cps)$(n));
@   if column.parts and not activation.in_registers and b == #blocks then
$(pad)for (size_t r = 0; r < $(row.mr); ++r) {
$(pad)    for (size_t n = 0; n < 16; n += $(W)) msa_store(c + (i + r) * $(ldc) + j * $(cps) + n, $(activation.vector)(msa_load(c + (i + r) * $(ldc) + j * $(cps) + n)));
$(pad)}
@   end
@ end
@ for b = 1, #blocks do
@   for _, outer in ipairs(order == "columns" and columns or rows) do
@     if order == "columns" then
    for (size_t j = $(outer.first); j < $(outer.last); j += $(outer.np)) {
@       for _, row in ipairs(rows) do
        for (size_t i = $(row.first); i < $(row.last); i += $(row.mr)) {
@         call(b, row, outer, "            ")
        }
@       end
@     else
    for (size_t i = $(outer.first); i < $(outer.last); i += $(outer.mr)) {
@       for _, column in ipairs(columns) do
        for (size_t j = $(column.first); j < $(column.last); j += $(column.np)) {
@         call(b, outer, column, "            ")
        }
@       end
@     end
    }
@   end
@ end
}


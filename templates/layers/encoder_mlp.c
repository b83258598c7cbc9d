@ -- SPDX-License-Identifier: 0BSD
/* x ($(tokens), $(C)) += lin2(gelu(lin1(norm2(x))))$(adapter and " + adapter(norm2(x)), scaled" or ""), $(rows) tokens at a time. */
void $(name)(float *arena, const float *w$(bank_parameter)$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(tokens // rows, rows));
@ end
    for (size_t t = $(from "first"); t < $(to("first", tokens)); t += $(rows)) $(block)(w$(bank_argument), arena + $(at.x) + t * $(ldc), $(own));
}

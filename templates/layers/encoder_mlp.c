@ -- SPDX-License-Identifier: 0BSD
/* x ($(tokens), $(C)) += lin2(gelu(lin1(norm2(x))))$(adapter and " + adapter(norm2(x)), scaled" or ""), $(rows) tokens at a time. */
void $(name)(float *arena, const float *w$(bank_parameter))
{
    for (size_t t = 0; t < $(tokens); t += $(rows)) $(block)(w$(bank_argument), arena + $(at.x) + t * $(ldc), arena + $(scratch));
}

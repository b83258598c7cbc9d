/* x ($(tokens), $(C)) += lin2(gelu(lin1(norm2(x))))$(adapter and " + adapter(norm2(x)), scaled" or ""), $(rows) tokens at a time. */
void $(name)(float *arena, const float *w)
{
    for (size_t t = 0; t < $(tokens); t += $(rows)) $(block)(w, arena + $(at.x) + t * $(ldc), arena + $(scratch));
}

/* x ($(tokens), $(C)) += lin2(gelu(lin1(norm2(x))))$(adapter and " + adapter(norm2(x)), scaled" or ""), $(rows) tokens at a time. */
void $(name)(float *arena, const float *w)
{
    float *const scratch = arena + $(scratch);
    float *const n = scratch + $(s.n), *const hidden = scratch + $(s.hidden), *const y = scratch + $(s.y);
    for (size_t t = 0; t < $(tokens); t += $(rows)) {
        float *const x = arena + $(at.x) + t * $(ldc);
        $(norm)(x, w + $(w.norm), n);
        $(lin1)(n, w + $(w.lin1), w + $(w.lin1_bias), hidden);
        $(lin2)(hidden, w + $(w.lin2), w + $(w.lin2_bias), y);
@ if adapter then
        $(fc1)(n, w + $(w.fc1), w + $(w.fc1_bias), scratch + $(s.narrow));
        $(fc2)(scratch + $(s.narrow), w + $(w.fc2), w + $(w.fc2_bias), scratch + $(s.a));
        $(add)(y, scratch + $(s.a), x);
@ else
        $(add)(y, x);
@ end
    }
}

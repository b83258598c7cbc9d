@ -- SPDX-License-Identifier: 0BSD
@ local windowed = side < grid or #kinds > 1
/* x ($(tokens), $(C)) += projection(attention(norm1(x)))$(adapter and ", adapted" or ""): $(windowed and ("windows of %d x %d"):format(side, side) or "global"), $(heads) heads of $(d), of which
 * $(group) at a time go through all windows; then $(columns) columns of the projection through all tokens. False if weights did not come. */
bool $(name)(float *arena, msa_stream *stream$(core_parameter))
{
@ if cores > 1 then
@   for i, kind in ipairs(kinds) do
    static const uint32_t heads_$(i)[$(entries)] = $(shares(kind.heads, 1, kind.bounds));
@   end
    static const uint32_t tokens[$(entries)] = $(shares(tokens // rows, rows));
@ end
    float *const scratch = $(own), *const o = $(shared) + $(s.o), *const x = arena + $(at.x);
    const float *w = msa_stream_next(stream);
    if (w == NULL) return false;
    const float *const held = msa_stream_next(stream);
    if (held == NULL) return false;
    for (size_t head = 0; head < $(heads); head += $(group)) {
        if (head > 0) w = msa_stream_next(stream);
        if (w == NULL) return false;
@ for i, kind in ipairs(kinds) do
@   local across = kind.x1 - kind.x0
@   local origin = (kind.y0 * side * grid + kind.x0 * side) * ldc
@   local place = ("%d + window / %d * %d + window %% %d * %d"):format(origin, across, side * grid * ldc, across, side * ldc)
@   if cores > 1 then
        for (size_t i = $(from("heads_" .. i)); i < $(to("heads_" .. i, 0));) {
            const size_t window = i / $(group), first = i % $(group), left = $(to("heads_" .. i, 0)) - i;
            const size_t end = left < $(group) - first ? first + left : $(group);
            const size_t at = $(place);
            $(kind.name)(held, w, x + at, o + at, head + first, head + end, scratch);
            i += end - first;
        }
@   elseif kind.windows == 1 then
        $(kind.name)(held, w, x + $(origin), o + $(origin), head, head + $(group), scratch);
@   else
        for (size_t window = 0; window < $(kind.windows); ++window) {
            const size_t at = $(place);
            $(kind.name)(held, w, x + at, o + at, head, head + $(group), scratch);
        }
@   end
@ end
    }
@ if adapter then
    float *const y = $(shared) + $(s.y);
@ end
    for (size_t c = 0; c < $(C); c += $(columns)) {
        w = msa_stream_next(stream);
        if (w == NULL) return false;
        for (size_t t = $(from "tokens"); t < $(to("tokens", tokens)); t += $(rows)) $(out)(o + t * $(ldc), w,$(out_bias and (" held + %d + c,"):format(p.proj_bias) or "") $(adapter and "y" or "x") + t * $(ldc) + c);
    }
@ if adapter then
    w = msa_stream_next(stream);
    if (w == NULL) return false;
    for (size_t t = $(from "tokens"); t < $(to("tokens", tokens)); t += $(rows)) {
        float *const a = scratch + $(own_s.a);
        $(down)(y + t * $(ldc), w + $(p.fc1), w + $(p.fc1_bias), scratch + $(own_s.hidden));
        $(up)(scratch + $(own_s.hidden), w + $(p.fc2), w + $(p.fc2_bias), a);
        $(add)(y + t * $(ldc), a, x + t * $(ldc));
    }
@ end
    return true;
}

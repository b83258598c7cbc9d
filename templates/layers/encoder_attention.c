@ -- SPDX-License-Identifier: 0BSD
@ local windowed = side < grid or #kinds > 1
@ local function shift(name) return (" %s + t * %d,"):format(name, ldc) end
/* x ($(slices * grid * grid), $(C)) += projection(attention(norm1(x)))$(adapter and ", adapted" or "")$(depth and (", + the depth branch on sequences of %d"):format(depth.length) or ""): $(windowed and ("windows of %d x %d"):format(side, side) or "global"), $(heads) heads of $(d). */
void $(name)(float *arena, const float *w$(bank_parameter)$(team_parameter))
{
@ if cores > 1 then
@   for i, kind in ipairs(kinds) do
    static const uint32_t heads_$(i)[$(entries)] = $(shares(kind.heads, 1, kind.bounds));
@   end
@   if depth then
    static const uint32_t places[$(entries)] = $(shares(depth.units));
@   end
    static const uint32_t tokens[$(entries)] = $(shares(tokens // rows, rows));
@ end
    float *const scratch = $(own), *const o = $(shared) + $(s.o);
@ if depth then
    float *const along_depth = $(shared) + $(s.depth);
    $(depth.kernel)(w$(bank_argument), arena + $(at.x), along_depth, scratch, $(from "places"), $(to("places", depth.units)));
@ end
@ if slices > 1 then
    for (size_t slice = 0; slice < $(slices); ++slice) {
        float *const x = arena + $(at.x) + slice * $(grid * grid * ldc);
@   if depth then
        const float *const depth = along_depth + slice * $(grid * grid * ldc);
@   end
@ else
    {
        float *const x = arena + $(at.x);
@ end
@ for i, kind in ipairs(kinds) do
@   local across = kind.x1 - kind.x0
@   local origin = (kind.y0 * side * grid + kind.x0 * side) * ldc
@   local place = ("%d + window / %d * %d + window %% %d * %d"):format(origin, across, side * grid * ldc, across, side * ldc)
@   if cores > 1 then
        for (size_t i = $(from("heads_" .. i)); i < $(to("heads_" .. i, 0));) {
            const size_t window = i / $(heads), head = i % $(heads), left = $(to("heads_" .. i, 0)) - i;
            const size_t end = left < $(heads) - head ? head + left : $(heads);
            const size_t at = $(place);
            $(kind.name)(w$(bank_argument), x + at, o + at, head, end, scratch);
            i += end - head;
        }
@   elseif kind.windows == 1 then
        $(kind.name)(w$(bank_argument), x + $(origin), o + $(origin), 0, $(heads), scratch);
@   else
        for (size_t window = 0; window < $(kind.windows); ++window) {
            const size_t at = $(place);
            $(kind.name)(w$(bank_argument), x + at, o + at, 0, $(heads), scratch);
        }
@   end
@ end
@ if cores > 1 then
        msa_meet(session, core);
@ end
        for (size_t t = $(from "tokens"); t < $(to("tokens", tokens)); t += $(rows)) $(project)(w$(bank_argument), o + t * $(ldc),$(depth and shift "depth" or "")$(shift "x") scratch);
@ if cores > 1 and slices > 1 then
        if (slice < $(slices - 1)) msa_meet(session, core);
@ end
    }
}

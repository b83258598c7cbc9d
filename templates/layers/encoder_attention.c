@ -- SPDX-License-Identifier: 0BSD
@ local windowed = side < grid or #kinds > 1
/* x ($(slices * grid * grid), $(C)) += projection(attention(norm1(x)))$(adapter and ", adapted" or "")$(depth and (", + the depth branch on sequences of %d"):format(depth.length) or ""): $(windowed and ("windows of %d x %d"):format(side, side) or "global"), $(heads) heads of $(d). */
void $(name)(float *arena, const float *w$(bank_parameter))
{
    float *const scratch = arena + $(scratch + (depth and depth.scratch or 0));
@ if depth then
    float *const along_depth = arena + $(scratch);
    $(depth.kernel)(w$(bank_argument), arena + $(at.x), along_depth, scratch);
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
@ for _, kind in ipairs(kinds) do
@   if kind.y1 == 1 and kind.x1 == 1 then
        $(kind.name)(w$(bank_argument), x,$(depth and " depth," or "") scratch);
@   else
        for (size_t y = $(kind.y0); y < $(kind.y1); ++y) {
            for (size_t c = $(kind.x0); c < $(kind.x1); ++c) $(kind.name)(w$(bank_argument), x + (y * $(side * grid) + c * $(side)) * $(ldc),$(depth and (" depth + (y * %d + c * %d) * %d,"):format(side * grid, side, ldc) or "") scratch);
        }
@   end
@ end
    }
}

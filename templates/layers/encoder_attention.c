@ local windowed = side < grid or #kinds > 1
/* x ($(slices * grid * grid), $(C)) += projection(attention(norm1(x)))$(adapter and ", adapted" or ""): $(windowed and ("windows of %d x %d"):format(side, side) or "global"), $(heads) heads of $(d). */
void $(name)(float *arena, const float *w)
{
    float *const scratch = arena + $(scratch);
@ if slices > 1 then
    for (size_t slice = 0; slice < $(slices); ++slice) {
        float *const x = arena + $(at.x) + slice * $(grid * grid * ldc);
@ else
    {
        float *const x = arena + $(at.x);
@ end
@ for _, kind in ipairs(kinds) do
@   if kind.y1 == 1 and kind.x1 == 1 then
        $(kind.name)(w, x, scratch);
@   else
        for (size_t y = $(kind.y0); y < $(kind.y1); ++y) {
            for (size_t c = $(kind.x0); c < $(kind.x1); ++c) $(kind.name)(w, x + (y * $(side * grid) + c * $(side)) * $(ldc), scratch);
        }
@   end
@ end
    }
}

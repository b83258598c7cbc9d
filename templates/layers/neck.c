@ -- SPDX-License-Identifier: 0BSD
/* embedding ($(slices * grid * grid), $(E)) = norm(conv3x3(norm(conv1x1(x)))). */
void $(name)(float *arena, const float *w$(bank_parameter))
{
    float *const border = arena + $(scratch + s.border);
    float *const product = arena + $(scratch + s.product);
    memset(border, 0, $((grid + 2) * (grid + 2) * lde) * sizeof(float));
    for (size_t slice = 0; slice < $(slices); ++slice) {
        const float *const x = arena + $(at.x) + slice * $(grid * grid * ldc);
        float *const out = arena + $(at.embedding) + slice * $(grid * grid * lde);
        for (size_t y = 0; y < $(grid); ++y) {
            float *const row = border + ((y + 1) * $(grid + 2) + 1) * $(lde);
            $(conv1)(x + y * $(grid * ldc), w + $(w.conv1), row);
            $(norm1)(row, w + $(w.norm1), row);
        }
        for (size_t y = 0; y < $(grid); ++y) {
            float *const row = out + y * $(grid * lde);
            $(tap)(border + y * $((grid + 2) * lde), w + $(w.tap0), row);
@ for t = 1, 8 do
            $(tap)(border + (y + $(t // 3)) * $((grid + 2) * lde) + $(t % 3 * lde), w + $(w["tap" .. t]), product);
            $(add)(product, row);
@ end
            $(norm2)(row, w + $(w.norm2), row);
        }
    }
}

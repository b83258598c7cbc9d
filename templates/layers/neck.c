@ -- SPDX-License-Identifier: 0BSD
/* embedding ($(slices * grid * grid), $(E)) = norm(conv3x3(norm(conv1x1(x)))). */
void $(name)(float *arena, const float *w$(bank_parameter)$(team_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(grid));
@ end
    float *const border = $(shared);
    float *const product = $(own) + $(s.product);
@ if cores > 1 then
    if (MSA_FIRST(core)) memset(border, 0, $((grid + 2) * (grid + 2) * lde) * sizeof(float));
    msa_meet(session, core);
@ else
    memset(border, 0, $((grid + 2) * (grid + 2) * lde) * sizeof(float));
@ end
    for (size_t slice = 0; slice < $(slices); ++slice) {
        const float *const x = arena + $(at.x) + slice * $(grid * grid * ldc);
        float *const out = arena + $(at.embedding) + slice * $(grid * grid * lde);
        for (size_t y = $(from "first"); y < $(to("first", grid)); ++y) {
            float *const row = border + ((y + 1) * $(grid + 2) + 1) * $(lde);
            $(conv1)(x + y * $(grid * ldc), w + $(w.conv1), row);
            $(norm1)(row, w + $(w.norm1), row);
        }
@ if cores > 1 then
        msa_meet(session, core);
@ end
        for (size_t y = $(from "first"); y < $(to("first", grid)); ++y) {
            float *const row = out + y * $(grid * lde);
            $(tap)(border + y * $((grid + 2) * lde), w + $(w.tap0), row);
@ for t = 1, 8 do
            $(tap)(border + (y + $(t // 3)) * $((grid + 2) * lde) + $(t % 3 * lde), w + $(w["tap" .. t]), product);
            $(add)(product, row);
@ end
            $(norm2)(row, w + $(w.norm2), row);
        }
@ if cores > 1 and slices > 1 then
        if (slice < $(slices - 1)) msa_meet(session, core);
@ end
    }
}

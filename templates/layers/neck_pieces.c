@ -- SPDX-License-Identifier: 0BSD
@ local row = ("border + ((y + 1) * %d + 1) * %d"):format(grid + 2, lde)
@ local each = ("for (size_t y = %s; y < %s; ++y)"):format(from "first", to("first", grid))
/* embedding ($(grid * grid), $(E)) = norm(conv3x3(norm(conv1x1(x)))): $(columns) columns of the first for all rows, then $(taps) taps of the second. False if weights did not come. */
bool $(name)(float *arena, msa_stream *stream$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(grid));
@ end
    float *const border = $(shared), *const product = $(own) + $(s.product);
    const float *const x = arena + $(at.x);
    float *const out = arena + $(at.embedding);
    $(cores > 1 and "if (MSA_FIRST(core)) " or "")memset(border, 0, $((grid + 2) * (grid + 2) * lde) * sizeof(float));
    const float *w = msa_stream_next(stream);
    if (w == NULL) return false;
    const float *const held = msa_stream_next(stream);
    if (held == NULL) return false;
    for (size_t c = 0; c < $(E); c += $(columns)) {
        if (c > 0) w = msa_stream_next(stream);
        if (w == NULL) return false;
        $(each) $(conv1)(x + y * $(grid * ldc), w, $(row) + c);
    }
    $(each) $(norm1)($(row), held + $(w.norm1), $(row));
@ for first = 0, 8, taps do
    {
        w = msa_stream_next(stream);
        if (w == NULL) return false;
        $(each) {
            float *const row = out + y * $(grid * lde);
@   for t = first, first + taps - 1 do
@     local place = ("border + (y + %d) * %d, w + %d"):format(t // 3, (grid + 2) * lde, (t - first) * tap_floats):gsub(",", (" + %d,"):format(t % 3 * lde))
@     if t == 0 then
            $(tap)($(place), row);
@     else
            $(tap)($(place), product);
            $(add)(product, row);
@     end
@   end
        }
    }
@ end
    $(each) {
        float *const row = out + y * $(grid * lde);
        $(norm2)(row, held + $(w.norm2), row);
    }
    return true;
}

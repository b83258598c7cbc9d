@ -- SPDX-License-Identifier: 0BSD
@ local last_w, last_scratch = adapter and " w," or "", adapter and ", scratch" or ""
/* x ($(tokens), $(C)) += lin2(gelu(lin1(norm2(x))))$(adapter and " + adapter(norm2(x)), scaled" or ""), $(rows) tokens at a time, for $(groups) groups of hidden columns in turn.
 * False if weights did not come. */
bool $(name)(float *arena, msa_stream *stream$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(tokens // rows, rows));
@ end
    float *const x = arena + $(at.x), *const y = $(shared) + $(s.y), *const scratch = $(own);
    const float *w = msa_stream_next(stream);
    if (w == NULL) return false;
    const float *const held = msa_stream_next(stream);
    if (held == NULL) return false;
    memset(y + $(from "first") * (size_t)$(ldc), 0, ($(to("first", tokens)) - $(from "first")) * (size_t)$(ldc) * sizeof(float));
    for (size_t group = 0; group < $(groups); ++group) {
        if (group > 0) w = msa_stream_next(stream);
        if (w == NULL) return false;
        for (size_t t = $(from "first"); t < $(to("first", tokens)); t += $(rows)) $(part)(held, w, x + t * $(ldc), y + t * $(ldc), scratch);
    }
@ if adapter then
    w = msa_stream_next(stream);
    if (w == NULL) return false;
@ end
    for (size_t t = $(from "first"); t < $(to("first", tokens)); t += $(rows)) $(last)(held,$(last_w) x + t * $(ldc), y + t * $(ldc)$(last_scratch));
    return true;
}

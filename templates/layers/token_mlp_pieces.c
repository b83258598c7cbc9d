@ -- SPDX-License-Identifier: 0BSD
/* queries ($(rows), $(E)) = norm(queries + lin2(relu(lin1(queries)))$(adapter and " + adapter(queries), scaled" or ""); $(hidden) wide inside, of which $(groups) groups come
 * in turn, $(chunk) tokens at a time as far as `count` goes.$(cores > 1 and " Core 0 works, the others wait for the pieces with it." or "") False if weights did not come. */
bool $(name)(float *arena, msa_stream *stream, size_t count$(core_parameter))
{
@ local limit = cores > 1 and "MSA_FIRST(core) && " or ""
    float *const scratch = $(shared), *const y = scratch + $(s.y), *const queries = arena + $(at.queries);
    const float *w = msa_stream_next(stream);
    if (w == NULL) return false;
    const float *const held = msa_stream_next(stream);
    if (held == NULL) return false;
@ if cores > 1 then
    if (MSA_FIRST(core)) memset(y, 0, $(rows * lde) * sizeof(float));
@ else
    memset(y, 0, $(rows * lde) * sizeof(float));
@ end
    for (size_t group = 0; group < $(groups); ++group) {
        if (group > 0) w = msa_stream_next(stream);
        if (w == NULL) return false;
        for (size_t i = 0; $(limit)i < $(rows) && i < count; i += $(chunk)) {
            $(lin1)(queries + i * $(lde), w + $(p.lin1), w + $(p.lin1_bias), scratch + $(s.hidden));
            $(lin2)(scratch + $(s.hidden), w + $(p.lin2), y + i * $(lde));
        }
    }
@ if adapter then
    w = msa_stream_next(stream);
    if (w == NULL) return false;
@ end
    for (size_t i = 0; $(limit)i < $(rows) && i < count; i += $(chunk)) {
        float *const q = queries + i * $(lde);
        $(bias)(held + $(p.lin2_bias), y + i * $(lde));
@ if adapter then
        $(down)(q, w + $(p.fc1), w + $(p.fc1_bias), scratch + $(s.narrow));
        $(up)(scratch + $(s.narrow), w + $(p.fc2), w + $(p.fc2_bias), scratch + $(s.a));
        $(add)(y + i * $(lde), scratch + $(s.a), q);
@ else
        $(add)(y + i * $(lde), q);
@ end
        $(norm)(q, held + $(p.norm), q);
    }
    return true;
}

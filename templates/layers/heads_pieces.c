@ -- SPDX-License-Identifier: 0BSD
@ local function next_piece()
    w = msa_stream_next(stream);
    if (w == NULL) return false;
@ end
@ local function chain(stages)
@   local from = "token"
@   for i, stage in ipairs(stages) do
@     local output = i % 2 == 1 and "a" or "b"
        $(stage.kernel)($(from), w + $(stage.w), w + $(stage.bias), $(output));
@     from = output
@   end
@   return from
@ end
@ local mine = cores > 1 and "if (MSA_FIRST(core)) " or ""
/* iou ($(masks)) from the first token; hyper ($(width), $(masks)), in panels, from the mask tokens; each MLP's weights are a piece.$(cores > 1 and " Core 0 works, the others wait\n * for the pieces with it." or "")
 * False if weights did not come. */
bool $(name)(float *arena, msa_stream *stream$(core_parameter))
{
    float *const a = $(shared) + $(s.a), *const b = $(shared) + $(s.b);
    float *const hyper = arena + $(at.hyper);
    const float *w;
@ next_piece()
    $(mine){
        const float *const token = arena + $(at.queries);
@ local result = chain(iou)
        memcpy(arena + $(at.iou), $(result), $(masks) * sizeof(float));
        memset(hyper, 0, $(panels * 16 * width) * sizeof(float));
    }
@ for m, stages in ipairs(hyper) do
@   next_piece()
    $(mine){
        const float *const token = arena + $(at.queries + m * lde);
@   result = chain(stages)
        for (size_t k = 0; k < $(width); ++k) hyper[$((m - 1) // 16 * 16 * width + (m - 1) % 16) + k * 16] = $(result)[k];
    }
@ end
    (void)a;
    (void)b;
    return true;
}

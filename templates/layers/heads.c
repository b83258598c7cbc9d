@ -- SPDX-License-Identifier: 0BSD
@ local function chain(stages)
@   local from = nil
@   for i, stage in ipairs(stages) do
@     local input = i == 1 and "token" or from
@     local output = i % 2 == 1 and "a" or "b"
    $(stage.kernel)($(input), w + $(stage.w), w + $(stage.bias), $(output));
@     from = output
@   end
@   return from
@ end
/* iou ($(masks)) from the first token; hyper ($(width), $(masks)), in panels, from the mask tokens. */
void $(name)(float *arena, const float *w$(bank_parameter))
{
    float *const a = $(shared) + $(s.a), *const b = $(shared) + $(s.b);
    float *const hyper = arena + $(at.hyper);
    const float *token = arena + $(at.queries);
@ local result = chain(iou)
    memcpy(arena + $(at.iou), $(result), $(masks) * sizeof(float));
    memset(hyper, 0, $(panels * 16 * width) * sizeof(float));
@ for m, stages in ipairs(hyper) do
    token = arena + $(at.queries + m * lde);
@   result = chain(stages)
    for (size_t k = 0; k < $(width); ++k) hyper[$((m - 1) // 16 * 16 * width + (m - 1) % 16) + k * 16] = $(result)[k];
@ end
    (void)a;
    (void)b;
}

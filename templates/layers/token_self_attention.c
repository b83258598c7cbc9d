@ -- SPDX-License-Identifier: 0BSD
/* queries ($(rows), $(E)) = norm($(residual and "queries + " or "")attention among the tokens): $(heads) heads of $(d), $(chunk) tokens at a time as far as `count` goes.
 * $(positioned and "The position is added for q and k." or stays and "The position is added once, to values and residual too." or "No position is added.") */
void $(name)(float *arena, const float *w$(bank_parameter), size_t count)
{
    float *const scratch = $(shared);
    const float *const tokens = arena + $(at.tokens);
    float *const queries = arena + $(at.queries);
    float *const q = scratch + $(s.q), *const k = scratch + $(s.k), *const v = scratch + $(s.v), *const o = scratch + $(s.o), *const y = scratch + $(s.y);
@ if first then
    memcpy(queries, tokens, $(rows * lde) * sizeof(float));
@ end
    memset(k, 0, $(rows * ldi) * sizeof(float));
    memset(v, 0, $(rows * ldi) * sizeof(float));
    for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) {
@ if stays then
        $(sum)(queries + i * $(lde), tokens + i * $(lde), queries + i * $(lde));
@ end
@ local from = ("queries + i * %d"):format(lde)
@ if positioned then
        float *const positioned = scratch + $(s.positioned);
        $(sum)($(from), tokens + i * $(lde), positioned);
@ end
        $(project)($(positioned and "positioned" or from), w + $(w.q), w + $(w.q_bias), q + i * $(ldi));
        $(project)($(positioned and "positioned" or from), w + $(w.k), w + $(w.k_bias), k + i * $(ldi));
        $(project)($(from), w + $(w.v), w + $(w.v_bias), v + i * $(ldi));
        $(scale)(q + i * $(ldi));
    }
    for (size_t h = 0; h < $(heads); ++h) {
        $(place)(0, k + h * $(d), v + h * $(d), scratch + $(s.kp), scratch + $(s.vp));
        for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) $(attend)(q + i * $(ldi) + h * $(d), scratch + $(s.kp), scratch + $(s.vp), scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + i * $(ldi) + h * $(d), count);
    }
    for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) {
        $(out)(o + i * $(ldi), w + $(w.out), w + $(w.out_bias), y);
@ if residual then
        $(add)(y, queries + i * $(lde));
        $(norm)(queries + i * $(lde), w + $(w.norm), queries + i * $(lde));
@ else
        $(norm)(y, w + $(w.norm), queries + i * $(lde));
@ end
    }
}

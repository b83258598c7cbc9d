@ -- SPDX-License-Identifier: 0BSD
/* queries ($(rows), $(E)) = norm($(residual and "queries + " or "")attention among the tokens): $(heads) heads of $(d).
 * $(positioned and "The position is added for q and k." or stays and "The position is added once, to values and residual too." or "No position is added.") */
void $(name)(float *arena, const float *w$(bank_parameter), size_t count)
{
    float *const scratch = arena + $(scratch);
    const float *const tokens = arena + $(at.tokens);
    float *const queries = arena + $(at.queries);
    float *const q = scratch + $(s.q), *const k = scratch + $(s.k), *const v = scratch + $(s.v), *const o = scratch + $(s.o), *const y = scratch + $(s.y);
@ if first then
    memcpy(queries, tokens, $(rows * lde) * sizeof(float));
@ end
@ if stays then
    $(sum)(queries, tokens, queries);
@ end
@ local from = "queries"
@ if positioned then
@   from = "positioned"
    float *const positioned = scratch + $(s.positioned);
    $(sum)(queries, tokens, positioned);
@ end
    $(project)($(from), w + $(w.q), w + $(w.q_bias), q);
    $(project)($(from), w + $(w.k), w + $(w.k_bias), k);
    $(project)(queries, w + $(w.v), w + $(w.v_bias), v);
    $(scale)(q);
    for (size_t h = 0; h < $(heads); ++h) {
        $(place)(0, k + h * $(d), v + h * $(d), scratch + $(s.kp), scratch + $(s.vp));
        $(attend)(q + h * $(d), scratch + $(s.kp), scratch + $(s.vp), scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + h * $(d), count);
    }
    $(out)(o, w + $(w.out), w + $(w.out_bias), y);
@ if residual then
    $(add)(y, queries);
    $(norm)(queries, w + $(w.norm), queries);
@ else
    $(norm)(y, w + $(w.norm), queries);
@ end
}

@ -- SPDX-License-Identifier: 0BSD
/* queries ($(rows), $(E)) = norm(queries + attention of the tokens to the image$(adapter and ", adapted by the prompt" or "")): $(heads) heads of $(d). */
void $(name)(float *arena, const float *w$(bank_parameter), const float *position)
{
    float *const scratch = arena + $(scratch);
    const float *const tokens = arena + $(at.tokens), *const keys = arena + $(at.keys);
    float *const queries = arena + $(at.queries);
    float *const q = scratch + $(s.q), *const o = scratch + $(s.o), *const y = scratch + $(s.y), *const positioned = scratch + $(s.positioned);
    float *const kp = scratch + $(s.kp), *const vp = scratch + $(s.vp);
    $(sum)(queries, tokens, positioned);
    $(project)(positioned, w + $(w.q), w + $(w.q_bias), q);
    $(scale)(q);
    for (size_t t = 0; t < $(image_tokens); t += $(block)) {
        float *const image = scratch + $(s.image), *const k = scratch + $(s.k), *const v = scratch + $(s.v);
        $(sum_image)(keys + t * $(lde), position + t * $(lde), image);
        $(project_image)(image, w + $(w.k), w + $(w.k_bias), k);
        $(project_image)(keys + t * $(lde), w + $(w.v), w + $(w.v_bias), v);
        for (size_t h = 0; h < $(heads); ++h) $(place)(t, k + h * $(d), v + h * $(d), kp + h * $(K_size), vp + h * $(V_size));
    }
    for (size_t h = 0; h < $(heads); ++h) $(attend)(q + h * $(d), kp + h * $(K_size), vp + h * $(V_size), scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + h * $(d));
    $(out)(o, w + $(w.out), w + $(w.out_bias), y);
@ if adapter then
    float *const hidden = scratch + $(s.hidden), *const a = scratch + $(s.a);
    $(fc1)(y, w + $(w.fc1), w + $(w.fc1_bias), hidden);
    $(fcp)(tokens, w + $(w.fcp), hidden);
    $(fc2)(hidden, w + $(w.fc2), w + $(w.fc2_bias), a);
    $(add)(a, y);
@ end
    $(add)(y, queries);
    $(norm)(queries, w + $(w.norm), queries);
}

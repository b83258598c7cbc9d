@ -- SPDX-License-Identifier: 0BSD
/* keys ($(image_tokens), $(E)) = norm($(adapter and "adapted " or "")keys + attention of the image to the tokens): $(heads) heads of $(d), $(block) image tokens at a time. */
void $(name)(float *arena, const float *w$(bank_parameter), const float *position, size_t count)
{
    float *const scratch = arena + $(scratch);
    const float *const tokens = arena + $(at.tokens), *const queries = arena + $(at.queries);
    float *const positioned = scratch + $(s.positioned), *const k = scratch + $(s.k), *const v = scratch + $(s.v);
    float *const kp = scratch + $(s.kp), *const vp = scratch + $(s.vp);
    $(sum)(queries, tokens, positioned);
    $(project)(positioned, w + $(w.k), w + $(w.k_bias), k);
    $(project)(queries, w + $(w.v), w + $(w.v_bias), v);
    for (size_t h = 0; h < $(heads); ++h) $(place)(0, k + h * $(d), v + h * $(d), kp + h * $(K_size), vp + h * $(V_size));
    for (size_t t = 0; t < $(image_tokens); t += $(block)) {
        float *const keys = arena + $(at.keys) + t * $(lde);
        float *const image = scratch + $(s.image), *const q = scratch + $(s.q), *const o = scratch + $(s.o), *const y = scratch + $(s.y);
        $(sum_image)(keys, position + t * $(lde), image);
        $(project_image)(image, w + $(w.q), w + $(w.q_bias), q);
        $(scale)(q);
        for (size_t h = 0; h < $(heads); ++h) $(attend)(q + h * $(d), kp + h * $(K_size), vp + h * $(V_size), scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + h * $(d), count);
        $(out)(o, w + $(w.out), w + $(w.out_bias), y);
        $(add)(y, keys);
@ if adapter then
        $(down)(keys, w + $(w.fc1), w + $(w.fc1_bias), scratch + $(s.narrow));
        $(up)(scratch + $(s.narrow), w + $(w.fc2), w + $(w.fc2_bias), y);
        $(add)(y, keys);
@ end
        $(norm)(keys, w + $(w.norm), keys);
    }
}

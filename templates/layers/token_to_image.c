@ -- SPDX-License-Identifier: 0BSD
@ local function image_side(pad)
$(pad)for (size_t t = $(from "blocks"); t < $(to("blocks", image_tokens)); t += $(block)) {
$(pad)    float *const image = scratch + $(p.image), *const k = scratch + $(p.k), *const v = scratch + $(p.v);
$(pad)    $(sum_image)(keys + t * $(lde), position + t * $(lde), image);
$(pad)    $(project_image)(image, w + $(w.k), w + $(w.k_bias), k);
$(pad)    $(project_image)(keys + t * $(lde), w + $(w.v), w + $(w.v_bias), v);
$(pad)    for (size_t h = 0; h < $(heads); ++h) $(place)(t, k + h * $(d), v + h * $(d), kp + h * $(K_size), vp + h * $(V_size));
$(pad)}
@ end
@ if ready then
/* The image's side of it, where the image tokens are the embedding and no mask: keys and values of all heads to `ready`. */
void $(name)_prepare(float *arena, const float *w$(bank_parameter), const float *position, float *ready$(core_parameter))
{
@   if bank_parameter ~= "" then
    (void)bank; /* of what the banks differ in, nothing may be read here */
@   end
@   if cores > 1 then
    static const uint32_t blocks[$(entries)] = $(shares(image_tokens // block, block));
@   end
    const float *const keys = arena + $(at.keys);
    float *const scratch = $(own), *const kp = ready, *const vp = ready + $(heads * K_size);
@ image_side "    "
}

@ end
/* queries ($(rows), $(E)) = norm(queries + attention of the tokens to the image$(adapter and ", adapted by the prompt" or "")): $(heads) heads of $(d), $(chunk) tokens at a time
 * as far as `count` goes.$(ready and " Keys and values of the image are at `ready` unless that is NULL." or "") */
void $(name)(float *arena, const float *w$(bank_parameter), const float *position, size_t count$(ready and ", const float *ready" or "")$(team_parameter))
{
@ if cores > 1 then
    static const uint32_t blocks[$(entries)] = $(shares(image_tokens // block, block));
    static const uint32_t heads[$(entries)] = $(shares(heads));
@ end
    float *const scratch = $(own), *const all = $(shared);
    const float *const tokens = arena + $(at.tokens), *const keys = arena + $(at.keys);
    float *const queries = arena + $(at.queries);
    float *const q = all + $(s.q), *const o = all + $(s.o), *const y = all + $(s.y), *const positioned = all + $(s.positioned);
@ if ready then
    const float *k_image = NULL, *v_image = NULL;
    if (ready != NULL) {
        k_image = ready;
        v_image = ready + $(heads * K_size);
    } else {
        float *const kp = all + $(s.kp), *const vp = all + $(s.vp);
@ image_side "        "
        k_image = kp;
        v_image = vp;
    }
@ else
    float *const kp = all + $(s.kp), *const vp = all + $(s.vp);
@ image_side "    "
    const float *const k_image = kp, *const v_image = vp;
@ end
@ local pad = cores > 1 and "    " or ""
@ if cores > 1 then
    if (MSA_FIRST(core)) {
@ end
$(pad)    for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) {
$(pad)        $(sum)(queries + i * $(lde), tokens + i * $(lde), positioned);
$(pad)        $(project)(positioned, w + $(w.q), w + $(w.q_bias), q + i * $(ldi));
$(pad)        $(scale)(q + i * $(ldi));
$(pad)    }
@ if cores > 1 then
    }
    msa_meet(session, core);
@ end
    for (size_t h = $(from "heads"); h < $(to("heads", heads)); ++h) {
        for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) $(attend)(q + i * $(ldi) + h * $(d), k_image + h * $(K_size), v_image + h * $(V_size), scratch + $(p.logits), scratch + $(p.acc), scratch + $(p.stat), o + i * $(ldi) + h * $(d));
    }
@ if cores > 1 then
    msa_meet(session, core);
    if (!MSA_FIRST(core)) return;
@ end
    for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) {
        $(out)(o + i * $(ldi), w + $(w.out), w + $(w.out_bias), y);
@ if adapter then
        float *const hidden = all + $(s.hidden), *const a = all + $(s.a);
        $(fc1)(y, w + $(w.fc1), w + $(w.fc1_bias), hidden);
        $(fcp)(tokens + i * $(lde), w + $(w.fcp), hidden);
        $(fc2)(hidden, w + $(w.fc2), w + $(w.fc2_bias), a);
        $(add)(a, y);
@ end
        $(add)(y, queries + i * $(lde));
        $(norm)(queries + i * $(lde), w + $(w.norm), queries + i * $(lde));
    }
}

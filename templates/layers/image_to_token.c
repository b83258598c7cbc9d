@ -- SPDX-License-Identifier: 0BSD
@ if ready then
/* The image's queries, where the image tokens are the embedding and no mask: scaled, to `ready`. */
void $(name)_prepare(float *arena, const float *w$(bank_parameter), const float *position, float *ready$(core_parameter))
{
@   if bank_parameter ~= "" then
    (void)bank; /* of what the banks differ in, nothing may be read here */
@   end
@   if cores > 1 then
    static const uint32_t blocks[$(entries)] = $(shares(image_tokens // block, block));
@   end
    float *const image = $(own) + $(s.image);
    for (size_t t = $(from "blocks"); t < $(to("blocks", image_tokens)); t += $(block)) {
        $(sum_image)(arena + $(at.keys) + t * $(lde), position + t * $(lde), image);
        $(project_image)(image, w + $(w.q), w + $(w.q_bias), ready + t * $(ldi));
        $(scale)(ready + t * $(ldi));
    }
}

@ end
/* keys ($(image_tokens), $(E)) = norm($(adapter and "adapted " or "")keys + attention of the image to the tokens): $(heads) heads of $(d), $(block) image tokens at a time.
 * Tokens from `count` on do not count.$(ready and " The image's queries are at `ready` unless that is NULL." or "")$(cores > 1 and " Each core makes keys and values of the tokens for itself." or "") */
void $(name)(float *arena, const float *w$(bank_parameter), const float *position, size_t count$(ready and ", const float *ready" or "")$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t blocks[$(entries)] = $(shares(image_tokens // block, block));
@ end
    float *const scratch = $(own);
    const float *const tokens = arena + $(at.tokens), *const queries = arena + $(at.queries);
    float *const positioned = scratch + $(s.positioned), *const k = scratch + $(s.k), *const v = scratch + $(s.v);
    float *const kp = scratch + $(s.kp), *const vp = scratch + $(s.vp);
    memset(k, 0, $(rows * ldi) * sizeof(float));
    memset(v, 0, $(rows * ldi) * sizeof(float));
    for (size_t i = 0; i < $(rows) && i < count; i += $(chunk)) {
        $(sum)(queries + i * $(lde), tokens + i * $(lde), positioned);
        $(project)(positioned, w + $(w.k), w + $(w.k_bias), k + i * $(ldi));
        $(project)(queries + i * $(lde), w + $(w.v), w + $(w.v_bias), v + i * $(ldi));
    }
@ local few, most = sizes[1], sizes[#sizes]
@ local function place(size, pad)
$(pad)for (size_t h = 0; h < $(heads); ++h) $(size.place)(0, k + h * $(d), v + h * $(d), kp + h * $(size.K_size), vp + h * $(size.V_size));
@ end
@ local function attend(size, pad)
$(pad)for (size_t h = 0; h < $(heads); ++h) $(size.attend)(q + h * $(d), kp + h * $(size.K_size), vp + h * $(size.V_size), scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + h * $(d), count);
@ end
@ if #sizes > 1 then
    const bool few = count <= $(few.keys);
    if (few) {
@   place(few, "        ")
    } else {
@   place(most, "        ")
    }
@ else
@   place(most, "    ")
@ end
    for (size_t t = $(from "blocks"); t < $(to("blocks", image_tokens)); t += $(block)) {
        float *const keys = arena + $(at.keys) + t * $(lde);
        float *const o = scratch + $(s.o), *const y = scratch + $(s.y);
@ local pad = ready and "            " or "        "
@ if ready then
        const float *q = NULL;
        if (ready != NULL) {
            q = ready + t * $(ldi);
        } else {
@ else
        const float *const q = scratch + $(s.q);
@ end
$(pad)float *const image = scratch + $(s.image), *const fresh = scratch + $(s.q);
$(pad)$(sum_image)(keys, position + t * $(lde), image);
$(pad)$(project_image)(image, w + $(w.q), w + $(w.q_bias), fresh);
$(pad)$(scale)(fresh);
@ if ready then
            q = fresh;
        }
@ end
@ if #sizes > 1 then
        if (few) {
@   attend(few, "            ")
        } else {
@   attend(most, "            ")
        }
@ else
@   attend(most, "        ")
@ end
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

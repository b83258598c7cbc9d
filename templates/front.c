/* SPDX-License-Identifier: 0BSD */
/* msa_front.c - the front end: one function a step. $(made_by)
$(origin)
 * $(front.facts). */
#include "msa_internal.h"
#include "msa_kernels.h"

void *memcpy(void *to, const void *from, size_t bytes);

@ for i, one in ipairs(front.steps) do
/* Step $(i - 1): $(one.what) */
$(one.text)
@ end
static bool cancelled(const msa_session *s, uint32_t step)
{
    return msa_progress(s, MSA_PHASE_FRONT, step) != 0;
}

@ local function calls(per)
@   for i, one in ipairs(front.steps) do
@     if one.per == per then
@       local more = #one.arguments > 0 and ", " .. table.concat(one.arguments, ", ") or ""
@       if one.step.returns then
$(wrapped(("    status = msa_%s(arena, w%s);"):format(one.step.name, more)))
    if (status != MSA_OK) {
        return status;
    }
@       else
$(wrapped(("    msa_%s(arena, w%s);"):format(one.step.name, more)))
@       end
    if (cancelled(s, $(i - 1))) {
        return MSA_E_CANCELLED;
    }
@     end
@   end
@ end
msa_status msa_front_batch(msa_session *s, const unsigned char *samples, size_t stride, uint32_t first,
                           uint32_t lines)
{
    float *const arena = (float *)(void *)s->arena;
    const float *const w = $(place("(const float *)(const void *)s->weights", front.weights_at));
@ if front.frame_at then
    float *const column = $(place("arena", front.frame_at)) + first;
@ else
    (void)stride;
    (void)lines;
@ end
@ calls "batch"
    return MSA_OK;
}

@ if front.per_frame then
msa_status msa_front_complete(msa_session *s, msa_picture *picture)
{
    float *const arena = (float *)(void *)s->arena;
    const float *const w = $(place("(const float *)(const void *)s->weights", front.weights_at));
@ if front.persists then
    const size_t first = s->frames == 0 ? 1u : 0u;
@ end
@ if front.boxes then
    msa_box box = {0, 0, $(front.picture.whole[1]), $(front.picture.whole[2])};
@ end
@ if front.picture then
@   local size = front.picture.whole or { front.picture.width, front.picture.height }
    msa_picture shown = {$(size[1]), $(size[2]), 0, 0};
@ end
@ if front.returns then
    msa_status status;
@ end
@ calls "frame"
@ if front.picture then
    *picture = shown;
@ else
    (void)picture;
@ end
    return MSA_OK;
}
@ end

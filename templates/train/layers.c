/* SPDX-License-Identifier: 0BSD */
/* msa_train_layers.c - forward and backward, layer by layer. $(made_by)
$(origin)
 * Multiply-adds of an image and a prompt: $(spaced(info.macs)), of which $(spaced(info.macs_again)) are done again. */
#include "msa_train_internal.h"
#include "msa_kernels.h"

@ for _, one in ipairs(groups) do
$(one.text)
@ end
@ for _, phase in ipairs(phases) do
msa_status msa_layers_of_$(phase.name)(msa_train *s$(core_parameter))
{
    float *const arena = (float *)(void *)s->session.arena;
    const float *const w = (const float *)(const void *)s->session.weights + $(weights_at);
@   for _, declaration in ipairs(phase.declarations) do
    $(declaration)
@   end
@   for i, one in ipairs(phase.groups) do
@     local more = (#one.arguments > 0 and ", " .. table.concat(one.arguments, ", ") or "") .. one.team
@     if one.step.returns then
    const msa_status status = msa_$(one.label)(arena, w$(more));
    if (status != MSA_OK) {
        return status;
    }
@     elseif cores > 1 and not one.core then
    if (MSA_FIRST(core)) {
$(wrapped(("        msa_%s(arena, w%s);"):format(one.label, more)))
    }
@     else
$(wrapped(("    msa_%s(arena, w%s);"):format(one.label, more)))
@     end
    if (msa_train_layer_end(s, $(phase.macro), $(i - 1)$(cores > 1 and ", core" or ""))) {
        return MSA_E_CANCELLED;
    }
@   end
    return MSA_OK;
}

@ end

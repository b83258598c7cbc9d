/* SPDX-License-Identifier: 0BSD */
/* msa_encoder.c - image encoder: one function a layer. $(made_by)
$(origin)
 * Multiply-adds $(spaced(info.macs_encode)). */
#include "msa_internal.h"
#include "msa_kernels.h"

@ for _, L in ipairs(encode) do
$(L.text)
@ end
/* Image to embedding$(cores > 1 and ": core's part of it" or ""). */
msa_status msa_encode_layers($(cores > 1 and "" or "const ")msa_session *s, const msa_image *image$(core_parameter))
{
    float *const arena = (float *)(void *)s->arena;
    const float *const weights = (const float *)(const void *)s->weights;
@ for i, L in ipairs(encode) do
@   local team = L.barriers and team_argument or core_argument
@   if L.image then
    const msa_status status = msa_$(L.name)(arena, weights + $(L.weights_at)$(bank_of(L)), image$(team));
    if (status != MSA_OK) return status;
@   elseif L.uses then
    msa_$(L.name)(arena, weights$(#banks > 1 and ", s->bank" or "")$(team));
@   else
    msa_$(L.name)(arena, weights + $(L.weights_at)$(bank_of(L))$(team));
@   end
    if ($(layer_end(i - 1))) return MSA_E_CANCELLED;
@ end
    return MSA_OK;
}

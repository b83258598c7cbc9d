/* SPDX-License-Identifier: 0BSD */
/* msa_decoder.c - prompt to mask: one function a layer. $(made_by)
$(origin)
 * Multiply-adds $(spaced(info.macs_decode)), whatever the prompt. */
#include "msa_internal.h"
#include "msa_kernels.h"

@ for _, L in ipairs(decode) do
$(L.text)
@ end
/* Tokens, embedding of a slice and mask prompt (or NULL) to logits and predicted IoU. */
msa_status msa_decode_layers($(cores > 1 and "" or "const ")msa_session *s, uint32_t slice, uint32_t token_count, const float *mask$(core_parameter))
{
    float *const arena = (float *)(void *)s->arena;
    const float *const weights = (const float *)(const void *)s->weights;
    const float *const position = weights + $(blob.position_at)$(blob.position_bank > 0 and (" + s->bank * (size_t)%d"):format(blob.position_bank) or "");
    const size_t count = token_count;
@ for i, L in ipairs(decode) do
@   local arguments = { "arena", "weights + " .. L.weights_at .. bank_of(L) }
@   if L.mask_prompt then arguments[3] = ("arena + %d + slice * (size_t)%d, mask"):format(L.at.embedding, model.grid * model.grid * lde) end
@   if L.position then arguments[#arguments + 1] = "position" end
@   if L.counted then arguments[#arguments + 1] = "count" end
@   if L.env.ready then arguments[#arguments + 1] = ("mask == NULL ? arena + %d + slice * (size_t)%d : NULL"):format(L.at[L.ready.buffer], L.ready.floats) end
    $(L.alone and cores > 1 and "if (core == 0) " or "")msa_$(L.name)($(table.concat(arguments, ", "))$(L.alone and "" or L.barriers and team_argument or core_argument));
    if ($(layer_end(i - 1))) return MSA_E_CANCELLED;
@ end
    return MSA_OK;
}

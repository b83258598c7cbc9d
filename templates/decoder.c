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
msa_status msa_decode_layers(const msa_session *s, uint32_t slice, uint32_t token_count, const float *mask)
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
    msa_$(L.name)($(table.concat(arguments, ", ")));
    if (msa_progress($(i - 1)) != 0) return MSA_E_CANCELLED;
@ end
    return MSA_OK;
}

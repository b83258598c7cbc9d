/* SPDX-License-Identifier: 0BSD */
/* msa_decoder.c - prompt to mask: one function a layer. $(made_by)
$(origin)
 * Multiply-adds $(spaced(info.macs_decode)), whatever the prompt. */
#include "msa_internal.h"
#include "msa_kernels.h"

@ for _, L in ipairs(decode) do
$(L.text)
@ end
@ if streamed then
/* What is fetched. */
const msa_piece msa_decode_pieces[$(#pieces.decode)] = {
@   for _, piece in ipairs(pieces.decode) do
    {$(piece.offset), $(piece.bytes), $(piece.to)}, /* $(piece.layer.name) */
@   end
};

@ end
/* Tokens, embedding of a slice and mask prompt (or NULL) to logits and predicted IoU. */
msa_status msa_decode_layers(msa_session *s, uint32_t slice, uint32_t token_count, const float *mask$(core_parameter))
{
    float *const arena = (float *)(void *)s->arena;
@ if streamed then
    msa_stream stream = {s, msa_decode_pieces, $(#pieces.decode), 0, $(cores > 1 and "core" or "0")};
    const float *w;
@ else
    const float *const weights = (const float *)(const void *)s->weights;
@ end
    const float *const position = $(streamed and ("arena + %d"):format(memory.by_name.tables.offset) or ("weights + %d"):format(blob.position_at))$(blob.position_bank > 0 and (" + s->bank * (size_t)%d"):format(blob.position_bank) or "");
    const size_t count = token_count;
@ for i, L in ipairs(decode) do
@   local arguments = { "arena", (streamed and "w" or "weights + " .. L.weights_at) .. bank_of(L) }
@   local team = L.alone and "" or L.barriers and team_argument or core_argument
@   local alone = L.alone
@   if L.lowered then
@     table.move(L.arguments, 1, #L.arguments, 3, arguments)
@     team = L.core == "team" and team_argument or L.core and core_argument or ""
@     alone = not L.core
@   end
@   if not L.lowered and L.mask_prompt then arguments[3] = ("arena + %d + slice * (size_t)%d, mask"):format(L.at.embedding, model.grid * model.grid * lde) end
@   if not L.lowered and L.position then arguments[#arguments + 1] = "position" end
@   if not L.lowered and L.counted then arguments[#arguments + 1] = "count" end
@   if not L.lowered and L.env.ready then arguments[#arguments + 1] = ("mask == NULL ? arena + %d + slice * (size_t)%d : NULL"):format(L.at[L.ready.buffer], L.ready.floats) end
@   if L.segment.pieces then
@     arguments[1], arguments[2] = "arena", "&stream"
    if (!msa_$(L.name)($(table.concat(arguments, ", "))$(team))) return MSA_E_FETCH;
@   else
@     if streamed then
    w = msa_stream_next(&stream);
    if (w == NULL) return MSA_E_FETCH;
@     end
    $(alone and cores > 1 and "if (MSA_FIRST(core)) " or "")msa_$(L.name)($(table.concat(arguments, ", "))$(team));
@   end
    if ($(layer_end("DECODE", i - 1))) return MSA_E_CANCELLED;
@ end
    return MSA_OK;
}

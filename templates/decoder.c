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
@ local tables = streamed and place("arena", memory.by_name.tables.offset) or place("weights", blob.position_at)
@ if blob.position_bank > 0 then
@   tables = ("%s + s->bank * (size_t)%d"):format(tables, types.base(blob.position_bank))
@ end
    const float *const position = $(tables);
    const size_t count = token_count;
@ if model.places then
    (void)mask; /* this model has none */
@ end
@ for i, L in ipairs(decode) do
@   local team = L.core == "team" and team_argument or L.core and core_argument or ""
@   local more = (#L.arguments > 0 and ", " .. table.concat(L.arguments, ", ") or "") .. team
@   if L.segment.pieces then
    if (!msa_$(L.name)(arena, &stream$(more))) {
        return MSA_E_FETCH;
    }
@   else
@     if streamed then
    w = msa_stream_next(&stream);
    if (w == NULL) {
        return MSA_E_FETCH;
    }
@     end
@     local from = (streamed and "w" or place("weights", L.weights_at)) .. bank_of(L)
@     if cores > 1 and not L.core then
    if (MSA_FIRST(core)) {
$(wrapped(("        msa_%s(arena, %s%s);"):format(L.name, from, more)))
    }
@     else
$(wrapped(("    msa_%s(arena, %s%s);"):format(L.name, from, more)))
@     end
@   end
    if ($(layer_end("DECODE", i - 1))) {
        return MSA_E_CANCELLED;
    }
@ end
    return MSA_OK;
}

/* SPDX-License-Identifier: 0BSD */
/* msa_encoder.c - image encoder: one function a layer. $(made_by)
$(origin)
 * Multiply-adds $(spaced(info.macs_encode)). */
#include "msa_internal.h"
#include "msa_kernels.h"
@ if model.resize == "sampled" then
#include "msa_sample.h"
@ end

@ for _, L in ipairs(encode) do
$(L.text)
@ end
@ if streamed then
/* What is fetched. */
const msa_piece msa_encode_pieces[$(#pieces.encode)] = {
@   for _, piece in ipairs(pieces.encode) do
@     local what = piece.layer and piece.layer.name or "positions, prompt tokens"
    {$(piece.offset), $(piece.bytes), $(piece.to)}, /* $(what) */
@   end
};

@ end
/* Image to embedding$(cores > 1 and ": core's part of it" or ""). */
msa_status msa_encode_layers(msa_session *s, const msa_image *image$(core_parameter))
{
    float *const arena = (float *)(void *)s->arena;
@ if streamed then
    msa_stream stream = {s, msa_encode_pieces, $(#pieces.encode), 0, $(cores > 1 and "core" or "0")};
@   local whole = false
@   for _, L in ipairs(encode) do whole = whole or not L.segment.pieces end
@   if whole then
    const float *w;
@   end
@ else
    const float *const weights = (const float *)(const void *)s->weights;
@ end
@ for i, L in ipairs(encode) do
@   local team = L.core == "team" and team_argument or L.core and core_argument or ""
@   local more = (#L.arguments > 0 and ", " .. table.concat(L.arguments, ", ") or "") .. team
@   local w = streamed and "w" or L.uses and "weights" or place("weights", L.weights_at)
@   local returns = not L.uses and L.lowered.returns
@   if streamed and not L.segment.pieces then
    w = msa_stream_next(&stream);
    if (w == NULL) {
        return MSA_E_FETCH;
    }
@   end
@   local from = L.segment.pieces and "&stream" or w .. (L.uses and (#banks > 1 and ", s->bank" or "") or bank_of(L))
@   if returns then
    const msa_status status = msa_$(L.name)(arena, $(from)$(more));
    if (status != MSA_OK) {
        return status;
    }
@   elseif L.segment.pieces then
    if (!msa_$(L.name)(arena, $(from)$(more))) {
        return MSA_E_FETCH;
    }
@   else
$(wrapped(("    msa_%s(arena, %s%s);"):format(L.name, from, more)))
@   end
    if ($(layer_end("ENCODE", i - 1))) {
        return MSA_E_CANCELLED;
    }
@   if streamed and L.leaves_embedding then
    if (msa_stream_next(&stream) == NULL) {
        return MSA_E_FETCH;
    }
@   end
@ end
    return MSA_OK;
}

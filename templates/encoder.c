/* SPDX-License-Identifier: 0BSD */
/* msa_encoder.c - image encoder: one function a layer. $(made_by)
$(origin)
 * Multiply-adds $(spaced(info.macs_encode)). */
#include "msa_internal.h"
#include "msa_kernels.h"

@ for _, L in ipairs(encode) do
$(L.text)
@ end
/* Image to embedding. */
msa_status msa_encode_layers(const msa_session *s, const msa_image *image)
{
    float *const arena = (float *)(void *)s->arena;
    const float *const weights = (const float *)(const void *)s->weights;
@ for i, L in ipairs(encode) do
@   if L.image then
    const msa_status status = msa_$(L.name)(arena, weights + $(L.weights_at)$(bank_of(L)), image);
    if (status != MSA_OK) return status;
@   else
    msa_$(L.name)(arena, weights + $(L.weights_at)$(bank_of(L)));
@   end
    if (msa_progress($(i - 1)) != 0) return MSA_E_CANCELLED;
@ end
    return MSA_OK;
}

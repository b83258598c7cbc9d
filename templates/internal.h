/* SPDX-License-Identifier: 0BSD */
/* msa_internal.h - places in the arena and in the weights, and the layers. $(made_by) */
#ifndef MSA_INTERNAL_H
#define MSA_INTERNAL_H

#include "msa_model.h"
#include "msa_runtime.h"

void *memset(void *to, int value, size_t bytes);

/* Bytes from the arena's start; strides in floats. */
#define MSA_EMBEDDING_OFFSET $(memory.by_name.embedding.offset * 4)
#define MSA_EMBEDDING_STRIDE $(lde)
#define MSA_TOKENS_OFFSET $(memory.by_name.tokens.offset * 4)
#define MSA_TOKEN_STRIDE $(lde)
#define MSA_LOGITS_OFFSET $(memory.by_name.logits.offset * 4)
#define MSA_IOU_OFFSET $(memory.by_name.iou.offset * 4)
@ if memory.by_name.stage then
#define MSA_STAGE_OFFSET $(memory.by_name.stage.offset * 4)
@ end

/* Bytes from the weights' start. */
#define MSA_PROMPT_TABLE_OFFSET $(blob.prompt_at)
#define MSA_PROMPT_BANK_STRIDE $(blob.prompt_bank)
#define MSA_MODEL_HASH {$(hash)}

msa_status msa_encode_layers($(cores > 1 and "" or "const ")msa_session *s, const msa_image *image$(core_parameter));
msa_status msa_decode_layers($(cores > 1 and "" or "const ")msa_session *s, uint32_t slice, uint32_t token_count, const float *mask$(core_parameter));
@ if cores > 1 then

/* The end of a layer for every core: core 0 asks msa_progress, all meet. True if the call is to end. */
bool msa_layer_end(msa_session *s, uint32_t layer, uint32_t core);
@ end
msa_status msa_known_answer(float *arena, const float *weights, uint32_t bank);

@ for _, p in ipairs(prototypes) do
$(p)
@ end

#endif

/* SPDX-License-Identifier: 0BSD */
/* msa_internal.h - the fake model's arena and its layers. */
#ifndef MSA_INTERNAL_H
#define MSA_INTERNAL_H

#include "msa_model.h"

#define MSA_MODEL_HASH \
    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, \
     17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}
#define MSA_PROMPT_TABLE_OFFSET 192
#define MSA_PROMPT_BANK_STRIDE 320
#define MSA_TOKEN_STRIDE 16
#define MSA_EMBEDDING_STRIDE 16
#define MSA_EMBEDDING_OFFSET 0
#define MSA_ENLARGE_SO(enlarger) ((void)(enlarger))
#define MSA_RESIZER msa_resizer
#define MSA_RESIZER_INIT msa_resize_init
#define MSA_RESIZER_ROW msa_resize_row
#define MSA_RESIZER_BYTES MSA_RESIZE_WORK_BYTES(MSA_MODEL_INPUT_SIZE)
#define MSA_SAMPLE_COUNT 2
#define MSA_SAMPLES {0, 160}
#define MSA_KEPT_COUNT 1
#define MSA_KEPT {{0, 256 * MSA_MODEL_DEPTH}}
#define MSA_TOKENS_OFFSET 4096
#define MSA_LOGITS_OFFSET 8192
#define MSA_IOU_OFFSET 16384
#define MSA_STAGE_OFFSET 20480
#define MSA_WORK_OFFSET 65536
#define MSA_MARKS_OFFSET 300000

#if MSA_MODEL_CORES > 1
msa_status msa_encode_layers(msa_session *s, const msa_image *image, uint32_t core);
msa_status msa_decode_layers(msa_session *s, uint32_t slice, uint32_t token_count, const float *mask_prompt,
    uint32_t core);
bool msa_layer_end(msa_session *s, msa_phase phase, uint32_t layer, uint32_t core);
#else
bool msa_layer_end(msa_session *s, msa_phase phase, uint32_t layer);
msa_status msa_encode_layers(msa_session *s, const msa_image *image);
msa_status msa_decode_layers(msa_session *s, uint32_t slice, uint32_t token_count, const float *mask_prompt);
#endif
msa_status msa_known_answer(msa_session *s);
uint32_t msa_tokens_of(const msa_session *s, const msa_prompt *prompt, uint32_t slice, uint32_t width, uint32_t height);

#endif

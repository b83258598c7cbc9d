/* SPDX-License-Identifier: 0BSD */
/* msa_places.h - prompts that always are so many places. EfficientSAM, Xiong et al. 2023. */
#ifndef MSA_PLACES_H
#define MSA_PLACES_H

#include "msa_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct msa_places {
    uint32_t count;      /* places of a prompt; those past the last one count nothing */
    uint32_t click_side; /* they are multiplied by it over the square's side; 0: they are not */
} msa_places;

/* Output tokens; points, then box corners, then invalid places; the text's; then rows of zeros.
 *   table   embeddings: invalid, point, upper left corner, lower right corner; output tokens; texts
 *   tokens  [rows][stride], columns past the table's width become 0; rows >= output tokens + places, and 1 if there are
 * texts
 * Relies on: msa_prompt_check passed. Returns the number of tokens. */
uint32_t msa_place_tokens(const msa_prompt *prompt, uint32_t slice, const msa_prompt_space *space,
                          const msa_places *places, const msa_prompt_table *table, float *tokens, uint32_t rows,
                          uint32_t stride);

bool msa_places_as_written(float one, float many, float zero);

#ifdef __cplusplus
}
#endif

#endif

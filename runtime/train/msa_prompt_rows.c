/* SPDX-License-Identifier: 0BSD */
/* msa_prompt_rows.c - prompts as rows of a table. */
#include "msa_prompt_rows.h"

enum { BOX_FIRST = 2, BOX_SECOND = 3, NOT_A_POINT = 4, OUTPUT_TOKENS = 5 };

uint32_t msa_prompt_rows(const msa_prompt *prompt, uint32_t output_tokens, uint8_t *rows)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < output_tokens; ++i) {
        rows[count++] = (uint8_t)(OUTPUT_TOKENS + i);
    }
    for (uint32_t i = 0; i < prompt->point_count; ++i) {
        rows[count++] = prompt->labels[i] < 0 ? (uint8_t)NOT_A_POINT : (uint8_t)prompt->labels[i];
    }
    if (prompt->box != NULL) {
        rows[count++] = BOX_FIRST;
        rows[count++] = BOX_SECOND;
    } else if (prompt->point_count > 0) {
        rows[count++] = NOT_A_POINT;
    }
    if (prompt->with_text) {
        rows[count++] = (uint8_t)(OUTPUT_TOKENS + output_tokens + prompt->text);
    }
    return count;
}

enum { PLACE_INVALID, PLACE_POINT, PLACE_FIRST, PLACE_SECOND, PLACE_OUTPUTS };

uint32_t msa_place_rows(const msa_prompt *prompt, uint32_t places, uint32_t output_tokens, uint8_t *rows)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < output_tokens; ++i) {
        rows[count++] = (uint8_t)(PLACE_OUTPUTS + i);
    }
    for (uint32_t i = 0; i < places; ++i) {
        uint32_t row = PLACE_INVALID;
        if (i < prompt->point_count) {
            row = prompt->labels[i] < 0 ? PLACE_INVALID : prompt->labels[i] == 1 ? PLACE_POINT : MSA_NO_ROW;
        } else if (prompt->box != NULL && i < prompt->point_count + 2u) {
            row = i == prompt->point_count ? PLACE_FIRST : PLACE_SECOND;
        }
        rows[count++] = (uint8_t)row;
    }
    return count;
}

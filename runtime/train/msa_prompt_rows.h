/* SPDX-License-Identifier: 0BSD */
/* msa_prompt_rows.h - which row of the prompt encoder's table each token of a prompt is made of. */
#ifndef MSA_PROMPT_ROWS_H
#define MSA_PROMPT_ROWS_H

#include "msa.h"

/* Rows of the table behind the Fourier features' matrix: 0 and 1 points outside and inside, 2 and 3 corners of a box, 4
 * no point, then the output tokens, then texts. In the order of msa_prompt_tokens.
 *   rows  room for the output tokens, the points and three more
 * Returns how many. Relies on: msa_prompt_check passed. */
uint32_t msa_prompt_rows(const msa_prompt *prompt, uint32_t output_tokens, uint8_t *rows);

/* Of a token that is its place's features alone. */
#define MSA_NO_ROW 255u

/* The same where a prompt always is so many places: 0 invalid ones, 1 points inside, 2 and 3 corners of a box, then the
 * output tokens; points outside have no row. In the order of msa_place_tokens.
 *   rows  room for the output tokens and the places */
uint32_t msa_place_rows(const msa_prompt *prompt, uint32_t places, uint32_t output_tokens, uint8_t *rows);

#endif

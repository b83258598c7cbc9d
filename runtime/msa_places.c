/* SPDX-License-Identifier: 0BSD */
/* msa_places.c - the decoder's tokens where a prompt always is so many places. EfficientSAM, Xiong et al. 2023. */
#include "msa_arith.h"
#include "msa_places.h"

enum { INVALID, POINT, BOX_FIRST, BOX_SECOND, OUTPUT_TOKENS };

static const float *table_row(const msa_prompt_table *table, uint32_t row)
{
    return table->rows + ((size_t)row + 1u) * table->out;
}

/* row is NULL for zeros. */
static void put_row(const float *row, uint32_t count, uint32_t stride, float *token)
{
    for (uint32_t i = 0; i < stride; ++i) {
        token[i] = row != NULL && i < count ? row[i] : 0.0f;
    }
}

/* Pixels of the image to those that features are made of: to the square in double, then rounded, then by the factor. */
static float scaled(float x, uint32_t from, uint32_t to, const msa_prompt_space *space, const msa_places *places)
{
    const float inside = (float)((double)x * ((double)to / (double)from));
    return places->click_side == 0u ? inside : inside * (float)places->click_side / (float)space->side;
}

/* Fourier features of a place in such pixels, and an embedding or NULL. */
static void put_features(const msa_prompt_table *table, float side, float along, float down, const float *embedding,
                         uint32_t stride, float *token)
{
    const float cx = 2.0f * ((along + 0.5f) / side) - 1.0f;
    const float cy = 2.0f * ((down + 0.5f) / side) - 1.0f;
    const uint32_t half = table->out / 2u;
    const float *const gaussian = table->rows;
    put_row(NULL, 0, stride, token);
    for (uint32_t i = 0; i < half; ++i) {
        const float turns = msa_fma(cy, gaussian[half + i], cx * gaussian[i]);
        const float angle = turns * 6.28318530717958648f;
        token[i] = msa_sin(angle);
        token[half + i] = msa_cos(angle);
    }
    for (uint32_t i = 0; embedding != NULL && i < table->out; ++i) {
        token[i] = token[i] + embedding[i];
    }
}

/* Place `at` of a prompt. */
static void put_place(const msa_prompt *prompt, size_t entry, uint32_t at, const msa_prompt_space *space,
                      const msa_places *places, const msa_prompt_table *table, uint32_t stride, float *token)
{
    const uint32_t points = prompt->point_count;
    const float *place = NULL, *embedding = table_row(table, INVALID);
    bool swap = false;
    if (at < points) {
        const size_t i = entry * points + at;
        place = prompt->points[i];
        swap = space->click_rc;
        if (prompt->labels[i] >= 0) {
            embedding = prompt->labels[i] == 1 ? table_row(table, POINT) : NULL;
        }
    } else if (prompt->box != NULL && at < points + 2u) {
        place = prompt->box[entry] + (at == points ? 0 : 2);
        embedding = table_row(table, at == points ? BOX_FIRST : BOX_SECOND);
    } else {
        /* No point and no box: a place that stays invalid. */
    }
    float along = -1.0f, down = -1.0f;
    if (place != NULL) {
        along = scaled(place[0], space->width, space->inner_width, space, places);
        down = scaled(place[1], space->height, space->inner_height, space, places);
    }
    put_features(table, (float)space->side, swap ? down : along, swap ? along : down, embedding, stride, token);
}

uint32_t msa_place_tokens(const msa_prompt *prompt, uint32_t slice, const msa_prompt_space *space,
                          const msa_places *places, const msa_prompt_table *table, float *tokens, uint32_t rows,
                          uint32_t stride)
{
    const size_t entry = prompt->slices == 1u ? (size_t)0 : slice;
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->output_tokens; ++i) {
        put_row(table_row(table, OUTPUT_TOKENS + i), table->out, stride, tokens + (size_t)count * stride);
        ++count;
    }
    for (uint32_t i = 0; i < places->count; ++i) {
        put_place(prompt, entry, i, space, places, table, stride, tokens + (size_t)count * stride);
        ++count;
    }
    if (prompt->with_text) {
        put_row(table_row(table, OUTPUT_TOKENS + table->output_tokens + prompt->text), table->out, stride,
            tokens + (size_t)count * stride);
        ++count;
    }
    for (uint32_t i = count; i < rows; ++i) {
        put_row(NULL, 0, stride, tokens + (size_t)i * stride);
    }
    return count;
}

bool msa_places_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

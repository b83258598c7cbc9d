/* SPDX-License-Identifier: 0BSD */
/* msa_prompt.c - prompts: what is refused, and the decoder's tokens. SAM, Kirillov et al. 2023, appendix A. */
#include "msa_arith.h"
#include "msa_runtime.h"

enum { POINT_OUTSIDE, POINT_INSIDE, BOX_FIRST, BOX_SECOND, NOT_A_POINT, OUTPUT_TOKENS };

/* False for NaN. */
static bool within(float x, uint32_t limit)
{
    return x >= 0.0f && x <= (float)limit;
}

msa_status msa_prompt_check(const msa_prompt *prompt, uint32_t width, uint32_t height,
                            uint32_t depth, uint32_t max_points, uint32_t mask_side, uint32_t texts)
{
    if (prompt == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (prompt->slices != 1u && prompt->slices != depth) {
        return MSA_E_SLICES;
    }
    if (prompt->point_count > max_points) {
        return MSA_E_POINTS;
    }
    if (prompt->point_count > 0u && (prompt->points == NULL || prompt->labels == NULL)) {
        return MSA_E_ARGUMENT;
    }
    const size_t points = (size_t)prompt->slices * prompt->point_count;
    for (size_t i = 0; i < points; ++i) {
        if (!within(prompt->points[i][0], width) || !within(prompt->points[i][1], height)) {
            return MSA_E_POINT;
        }
        if (prompt->labels[i] < -1 || prompt->labels[i] > 1) {
            return MSA_E_LABEL;
        }
    }
    if (prompt->box != NULL) {
        for (uint32_t i = 0; i < prompt->slices; ++i) {
            const float *const box = prompt->box[i];
            if (!within(box[0], width) || !within(box[1], height) || !within(box[2], width) || !within(box[3], height)
                || box[2] < box[0] || box[3] < box[1]) {
                return MSA_E_BOX;
            }
        }
    }
    if (prompt->mask != NULL && !msa_finite(prompt->mask, (size_t)prompt->slices * mask_side * mask_side)) {
        return MSA_E_MASK;
    }
    return prompt->with_text && prompt->text >= texts ? MSA_E_TEXT : MSA_OK;
}

static const float *table_row(const msa_prompt_table *table, uint32_t row)
{
    return table->rows + ((size_t)row + 1u) * table->out;
}

static void put_row(const float *row, uint32_t count, uint32_t stride, float *token)
{
    for (uint32_t i = 0; i < stride; ++i) {
        token[i] = i < count ? row[i] : 0.0f;
    }
}

/* Pixels of the image to pixels of the square: in double, then rounded, as segment-anything does. */
static float scaled(float x, uint32_t from, uint32_t to)
{
    return (float)((double)x * ((double)to / (double)from));
}

/* Fourier features of a place in pixels of the image, and the embedding of its kind. */
static void put_place(const msa_prompt_space *space, const msa_prompt_table *table, float x, float y, bool swap,
                      uint32_t kind, uint32_t stride, float *token)
{
    const float along = scaled(x, space->width, space->inner_width);
    const float down = scaled(y, space->height, space->inner_height);
    const float side = (float)space->side;
    const float cx = 2.0f * (((swap ? down : along) + 0.5f) / side) - 1.0f;
    const float cy = 2.0f * (((swap ? along : down) + 0.5f) / side) - 1.0f;
    const uint32_t half = table->out / 2u;
    const float *const gaussian = table->rows;
    const float *const embedding = table_row(table, kind);
    put_row(embedding, table->out, stride, token);
    for (uint32_t i = 0; i < half; ++i) {
        const float turns = msa_fma(cy, gaussian[half + i], cx * gaussian[i]);
        const float angle = turns * 6.28318530717958648f;
        token[i] = msa_sin(angle) + embedding[i];
        token[half + i] = msa_cos(angle) + embedding[half + i];
    }
}

uint32_t msa_prompt_tokens(const msa_prompt *prompt, uint32_t slice, const msa_prompt_space *space,
                           const msa_prompt_table *table, float *tokens, uint32_t rows, uint32_t stride)
{
    const size_t entry = prompt->slices == 1u ? (size_t)0 : slice;
    const size_t first = entry * prompt->point_count;
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->output_tokens; ++i) {
        put_row(table_row(table, OUTPUT_TOKENS + i), table->out, stride, tokens + (size_t)count * stride);
        ++count;
    }
    for (uint32_t i = 0; i < prompt->point_count; ++i) {
        const float *const point = prompt->points[first + i];
        const int8_t label = prompt->labels[first + i];
        float *const token = tokens + (size_t)count * stride;
        if (label < 0) {
            put_row(table_row(table, NOT_A_POINT), table->out, stride, token);
        } else {
            put_place(space, table, point[0], point[1], space->click_rc, label == 1 ? POINT_INSIDE : POINT_OUTSIDE,
                      stride, token);
        }
        ++count;
    }
    if (prompt->box != NULL) {
        const float *const box = prompt->box[entry];
        put_place(space, table, box[0], box[1], false, BOX_FIRST, stride, tokens + (size_t)count * stride);
        put_place(space, table, box[2], box[3], false, BOX_SECOND, stride, tokens + ((size_t)count + 1u) * stride);
        count += 2u;
    } else if (prompt->point_count > 0u) {
        put_row(table_row(table, NOT_A_POINT), table->out, stride, tokens + (size_t)count * stride);
        ++count;
    } else {
        /* Without points or box there is nothing but the output tokens. */
    }
    if (prompt->with_text) {
        put_row(table_row(table, OUTPUT_TOKENS + table->output_tokens + prompt->text), table->out, stride,
            tokens + (size_t)count * stride);
        ++count;
    }
    for (uint32_t i = count; i < rows; ++i) {
        put_row(table->rows, 0, stride, tokens + (size_t)i * stride);
    }
    return count;
}

bool msa_prompt_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

/* SPDX-License-Identifier: 0BSD */
/* layers.h - a network whose answers are seen at a glance: it embeds each patch's mean and lights up what resembles the
 * first point. */
#ifndef FAKE_LAYERS_H
#define FAKE_LAYERS_H

#include "msa_internal.h"
#include "msa_runtime.h"

bool msa_kernels_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

/* Channels of token (j, i): means of red, green, blue of its patch, i, j, slice. */
static msa_status embed(const msa_session *s, const msa_image *image, uint32_t slice)
{
    float *const embedding = (float *)(void *)(s->arena + MSA_EMBEDDING_OFFSET);
    uint8_t *const row = s->arena + MSA_WORK_OFFSET;
    void *const work = s->arena + MSA_WORK_OFFSET + 4096;
    uint32_t width, height;
    msa_resized_size(image->width, image->height, MSA_MODEL_INPUT_SIZE, MSA_MODEL_RESIZE_LONGEST != 0, &width, &height);
    float *const tokens = embedding + (size_t)slice * 16u * MSA_EMBEDDING_STRIDE;
    msa_resizer resize;
    const msa_status status = msa_resize_init(&resize, image, slice, width, height, work,
        MSA_RESIZE_WORK_BYTES(MSA_MODEL_INPUT_SIZE));
    if (status != MSA_OK) {
        return status;
    }
    for (uint32_t i = 0; i < 16u * MSA_EMBEDDING_STRIDE; ++i) {
        tokens[i] = 0.0f;
    }
    for (uint32_t y = 0; y < height; ++y) {
        msa_resize_row(&resize, row);
        for (uint32_t x = 0; x < width; ++x) {
            float *const token = tokens + (y / 16u * 4u + x / 16u) * MSA_EMBEDDING_STRIDE;
            for (uint32_t c = 0; c < 3u; ++c) {
                token[c] += (float)row[3u * x + c] / 256.0f;
            }
            token[3] = (float)(x / 16u);
            token[4] = (float)(y / 16u);
            token[5] = (float)slice;
        }
    }
    return MSA_OK;
}

/* Mask m: red of the patch less 0.5 and m / 10, plus the mask prompt; infinite where a patch is exactly 1/256 red.
 * IoU: 0.5 and m / 10 while there are points, else m / 10; and the bank. */
static void light_up(const msa_session *s, uint32_t slice, uint32_t token_count, const float *mask_prompt)
{
    const float *const embedding = (const float *)(const void *)(s->arena + MSA_EMBEDDING_OFFSET);
    float *const logits = (float *)(void *)(s->arena + MSA_LOGITS_OFFSET);
    float *const iou = (float *)(void *)(s->arena + MSA_IOU_OFFSET);
    for (uint32_t m = 0; m < MSA_MODEL_MASKS; ++m) {
        for (uint32_t i = 0; i < 256u; ++i) {
            const float red = embedding[((size_t)slice * 16u + i / 64u * 4u + i % 16u / 4u) * MSA_EMBEDDING_STRIDE];
            const float wanted = red - 0.5f - (float)m / 10.0f + (mask_prompt != NULL ? mask_prompt[i] : 0.0f);
            logits[m * 256u + i] = red == 1.0f / 256.0f ? wanted / 0.0f : wanted;
        }
        iou[m] = (token_count > 1u + MSA_MODEL_MASKS ? 0.5f : 0.0f) + (float)m / 10.0f + (float)s->bank;
    }
}

#if MSA_MODEL_CORES > 1

/* Of a call: in each a core writes one more than the next core wrote in the layer before. */
#define LAYERS 6u

/* Called by every core in every layer. */
static void (*volatile in_layer)(uint32_t core, uint32_t layer);

static msa_status layers(msa_session *s, msa_phase phase, uint32_t core, float *sum)
{
    float (*const marks)[MSA_MAX_CORES] = (float (*)[MSA_MAX_CORES])(void *)(s->arena + MSA_MARKS_OFFSET);
    const uint32_t next = (core + 1u) % MSA_MODEL_CORES;
    for (uint32_t layer = 0; layer < LAYERS; ++layer) {
        if (in_layer != NULL) {
            in_layer(core, layer);
        }
        marks[layer % 2u][core] = layer == 0 ? 1.0f : marks[(layer + 1u) % 2u][next] + 1.0f;
        if (msa_layer_end(s, phase, layer, core)) {
            return MSA_E_CANCELLED;
        }
    }
    *sum = marks[(LAYERS + 1u) % 2u][next];
    return MSA_OK;
}

/* As for one core, by core 0; channel 5 of token t comes from core t % MSA_MODEL_CORES, at the end: LAYERS if every
 * core has seen what the next one wrote. */
msa_status msa_encode_layers(msa_session *s, const msa_image *image, uint32_t core)
{
    float *const embedding = (float *)(void *)(s->arena + MSA_EMBEDDING_OFFSET);
    float sum;
    if (core == 0) {
        const msa_status status = embed(s, image, 0);
        if (status != MSA_OK) {
            return status;
        }
    }
    const msa_status status = layers(s, MSA_PHASE_ENCODE, core, &sum);
    for (size_t t = core; t < 16u && status == MSA_OK; t += MSA_MODEL_CORES) {
        embedding[t * MSA_EMBEDDING_STRIDE + 5u] = sum;
    }
    return status;
}

/* As for one core; IoU m is LAYERS greater, by core m % MSA_MODEL_CORES. */
msa_status msa_decode_layers(msa_session *s, uint32_t slice, uint32_t token_count, const float *mask_prompt,
    uint32_t core)
{
    float *const iou = (float *)(void *)(s->arena + MSA_IOU_OFFSET);
    float sum;
    if (core == 0) {
        light_up(s, slice, token_count, mask_prompt);
    }
    const msa_status status = layers(s, MSA_PHASE_DECODE, core, &sum);
    for (uint32_t m = core; m < MSA_MODEL_MASKS && status == MSA_OK; m += MSA_MODEL_CORES) {
        iou[m] += sum;
    }
    return status;
}

#else

msa_status msa_encode_layers(msa_session *s, const msa_image *image)
{
    for (uint32_t slice = 0; slice < MSA_MODEL_DEPTH; ++slice) {
        const msa_status status = embed(s, image, slice);
        if (status != MSA_OK) {
            return status;
        }
        if (msa_layer_end(s, MSA_PHASE_ENCODE, slice)) {
            return MSA_E_CANCELLED;
        }
    }
    return MSA_OK;
}

msa_status msa_decode_layers(msa_session *s, uint32_t slice, uint32_t token_count, const float *mask_prompt)
{
    light_up(s, slice, token_count, mask_prompt);
    return msa_layer_end(s, MSA_PHASE_DECODE, slice) ? MSA_E_CANCELLED : MSA_OK;
}

#endif

/* The answer is right while the bank's prompt table starts with no negative number. */
msa_status msa_known_answer(msa_session *s)
{
    const float *const weights = (const float *)(const void *)s->weights;
    float *const arena = (float *)(void *)s->arena;
    arena[0] = weights[(MSA_PROMPT_TABLE_OFFSET + s->bank * MSA_PROMPT_BANK_STRIDE) / 4];
    return arena[0] < 0.0f ? MSA_E_SELF_TEST : MSA_OK;
}

#endif

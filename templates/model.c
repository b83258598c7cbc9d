/* SPDX-License-Identifier: 0BSD */
/* msa_model.c - the session: checks what it is given, calls the layers, hands out results. */
#ifndef MSA_INTERNAL_H
#include "msa_internal.h"
#endif
#include "msa_runtime.h"
#if MSA_VECTORS_FLUSH
#include "msa_kernels.h"
#endif

/* States of a session; a forgotten or unopened one holds neither. */
#define OPENED 0x4d534131u
#define ENCODED 0x4d534132u

#define SIDE2 ((size_t)MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE)

static const unsigned char model_hash[32] = MSA_MODEL_HASH;
static const char model_arithmetic[16] = MSA_MODEL_ARITHMETIC;

/* Sessions of two models in one program are not mixed up: each carries the start of its model's hash. */
static uint64_t build_name(void)
{
    uint64_t name = 0;
    for (uint32_t i = 0; i < 8u; ++i) {
        name = name << 8 | model_hash[i];
    }
    return name;
}

static bool is_open(const msa_session *s)
{
    return s != NULL && s->build == build_name() && (s->state == OPENED || s->state == ENCODED);
}

static bool aligned(const void *p)
{
    return (uintptr_t)p % MSA_ALIGNMENT == 0;
}

static float *arena_floats(const msa_session *s, size_t offset)
{
    return (float *)(void *)(s->arena + offset);
}

static msa_status check_environment(void)
{
    const msa_status status = msa_check_environment();
#if MSA_VECTORS_FLUSH
    if (status == MSA_OK && !msa_flushing_tells()) {
        return MSA_E_ENVIRONMENT;
    }
#endif
    return status;
}

static msa_status check_memory(const void *arena, size_t arena_bytes, const void *weights)
{
    if (arena == NULL || (weights == NULL) != (MSA_MODEL_STREAMED != 0)) {
        return MSA_E_ARGUMENT;
    }
    if (!aligned(arena) || !aligned(weights)) {
        return MSA_E_ALIGNMENT;
    }
    if (arena_bytes < (size_t)MSA_MODEL_ARENA_BYTES) {
        return MSA_E_ARENA;
    }
    return check_environment();
}

static msa_status check_weights(msa_session *s, size_t bytes)
{
#if MSA_MODEL_STREAMED
    /* Weights that no size_t can count have its low bits for their size. */
    return msa_stream_check(s, bytes == (size_t)MSA_MODEL_WEIGHTS_BYTES ? MSA_MODEL_WEIGHTS_BYTES : bytes, model_arithmetic, model_hash);
#else
    return msa_check_weights(s->weights, bytes, MSA_MODEL_WEIGHTS_BYTES, model_arithmetic, model_hash);
#endif
}

msa_status msa_open(msa_session *s, void *arena, size_t arena_bytes, const void *weights, size_t weights_bytes)
{
    if (s == NULL) {
        return MSA_E_ARGUMENT;
    }
    msa_status status = check_memory(arena, arena_bytes, weights);
    s->build = build_name();
    s->bank = 0;
    s->width = 0;
    s->height = 0;
    s->arena = (unsigned char *)arena;
    s->weights = (const unsigned char *)weights;
    s->team = NULL;
    s->cores = MSA_MODEL_CORES;
    s->fetch = 0;
    if (status == MSA_OK) {
        status = check_weights(s, weights_bytes);
    }
    s->state = status == MSA_OK ? OPENED : 0u;
    return status;
}

#if MSA_MODEL_CORES > 1

msa_status msa_set_team(msa_session *s, void *team)
{
    if (!is_open(s)) {
        return MSA_E_ARGUMENT;
    }
    s->team = team;
    return MSA_OK;
}

/* Two flags in turn: core 0 may be a layer ahead of a core that still looks at this layer's. */
bool msa_layer_end(msa_session *s, msa_phase phase, uint32_t layer, uint32_t core)
{
    if (core == 0) {
        s->stop[layer & 1u] = msa_progress(s, phase, layer) != 0 ? 1u : 0u;
    }
    msa_cores_wait(s->team, s, core);
    return s->stop[layer & 1u] != 0;
}

static msa_status part_of_work(msa_session *s, uint32_t core)
{
    return s->image != NULL ? msa_encode_layers(s, s->image, core) : msa_decode_layers(s, s->slice, s->tokens, s->mask, core);
}

void msa_work(msa_session *s, uint32_t core)
{
    if (core == 0 || core >= MSA_MODEL_CORES) {
        return;
    }
    void *const team = s->team;
    s->fault[core] = check_environment() != MSA_OK ? 1u : 0u;
    (void)part_of_work(s, core);
    msa_cores_wait(team, s, core);
}

static msa_status work(msa_session *s)
{
    if (msa_cores_start(s->team, s) != 0) {
        return MSA_E_CORES;
    }
    msa_status status = part_of_work(s, 0);
    msa_cores_wait(s->team, s, 0); /* no core looks at the session after this: it is the caller's again */
    for (uint32_t core = 1; core < MSA_MODEL_CORES; ++core) {
        if (status == MSA_OK && s->fault[core] != 0) {
            status = MSA_E_ENVIRONMENT;
        }
    }
    return status;
}

static msa_status encode_layers(msa_session *s, const msa_image *image)
{
    s->image = image;
    return work(s);
}

static msa_status decode_layers(msa_session *s, uint32_t slice, uint32_t tokens, const float *mask)
{
    s->image = NULL;
    s->slice = slice;
    s->tokens = tokens;
    s->mask = mask;
    return work(s);
}

#else
#define encode_layers msa_encode_layers
#define decode_layers msa_decode_layers
#endif

/* Whatever ended a call: the arena is the caller's again. */
static void end_fetching(msa_session *s)
{
#if MSA_MODEL_STREAMED
    msa_stream_end(s);
#else
    (void)s;
#endif
}

msa_status msa_select_bank(msa_session *s, uint32_t bank)
{
    if (!is_open(s)) {
        return MSA_E_ARGUMENT;
    }
    if (bank >= MSA_MODEL_BANKS) {
        return MSA_E_BANK;
    }
    s->state = OPENED;
    s->bank = bank;
    return MSA_OK;
}

static bool embedding_finite(const msa_session *s)
{
    const float *const embedding = arena_floats(s, MSA_EMBEDDING_OFFSET);
    const size_t tokens = (size_t)MSA_MODEL_DEPTH * MSA_MODEL_GRID * MSA_MODEL_GRID;
    for (size_t i = 0; i < tokens; ++i) {
        if (!msa_finite(embedding + i * MSA_EMBEDDING_STRIDE, MSA_MODEL_OUT)) {
            return false;
        }
    }
    return true;
}

msa_status msa_encode(msa_session *s, const msa_image *image)
{
    if (!is_open(s)) {
        return MSA_E_ARGUMENT;
    }
    msa_status status = msa_image_check(image, MSA_MODEL_DEPTH);
    if (status != MSA_OK) {
        return status;
    }
    s->state = OPENED;
    status = encode_layers(s, image);
    end_fetching(s);
    if (status == MSA_OK && !embedding_finite(s)) {
        status = MSA_E_NAN;
    }
    if (status == MSA_OK) {
        s->width = image->width;
        s->height = image->height;
        s->state = ENCODED;
    }
    return status;
}

msa_status msa_get_embedding(const msa_session *s, float *out)
{
    if (!is_open(s) || out == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->state != ENCODED) {
        return MSA_E_ORDER;
    }
    const size_t tokens = (size_t)MSA_MODEL_GRID * MSA_MODEL_GRID;
    for (size_t slice = 0; slice < MSA_MODEL_DEPTH; ++slice) {
        const float *const from = arena_floats(s, MSA_EMBEDDING_OFFSET) + slice * tokens * MSA_EMBEDDING_STRIDE;
        float *const to = out + slice * MSA_MODEL_OUT * tokens;
        for (size_t channel = 0; channel < MSA_MODEL_OUT; ++channel) {
            for (size_t token = 0; token < tokens; ++token) {
                to[channel * tokens + token] = from[token * MSA_EMBEDDING_STRIDE + channel];
            }
        }
    }
    return MSA_OK;
}

/* Tokens and decoder for one slice; results stay in the arena. */
static msa_status decode(msa_session *s, const msa_prompt *prompt, uint32_t slice)
{
#if MSA_MODEL_STREAMED
    const unsigned char *const tables = s->arena;
#else
    const unsigned char *const tables = s->weights;
#endif
    const msa_prompt_table table = {
        (const float *)(const void *)(tables + MSA_PROMPT_TABLE_OFFSET + (size_t)MSA_PROMPT_BANK_STRIDE * s->bank), MSA_MODEL_OUT, 1u + MSA_MODEL_MASKS, MSA_MODEL_TEXTS,
    };
    msa_prompt_space space = {s->width, s->height, 0, 0, MSA_MODEL_INPUT_SIZE, MSA_MODEL_CLICK_RC != 0};
    msa_resized_size(s->width, s->height, MSA_MODEL_INPUT_SIZE, MSA_MODEL_RESIZE_LONGEST != 0,
                     &space.inner_width, &space.inner_height);
    const uint32_t tokens = msa_prompt_tokens(prompt, slice, &space, &table, arena_floats(s, MSA_TOKENS_OFFSET),
                                              MSA_MODEL_TOKENS, MSA_TOKEN_STRIDE);
    const float *mask = prompt->mask;
    if (mask != NULL && prompt->slices > 1) {
        mask += slice * SIDE2;
    }
    const msa_status status = decode_layers(s, slice, tokens, mask);
    end_fetching(s);
    return status;
}

msa_status msa_segment(msa_session *s, const msa_prompt *prompt, msa_mask *mask)
{
    if (!is_open(s) || mask == NULL || mask->logits == NULL || mask->iou == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->state != ENCODED) {
        return MSA_E_ORDER;
    }
    msa_status status = msa_prompt_check(prompt, s->width, s->height, MSA_MODEL_DEPTH, MSA_MODEL_MAX_POINTS, MSA_MODEL_MASK_SIDE, MSA_MODEL_TEXTS);
    if (status != MSA_OK) {
        return status;
    }
    const bool several = MSA_MODEL_FIRST_CLASSES == 0 && prompt->multimask && MSA_MODEL_MASKS > 1;
    const size_t first = several ? 1u : 0u;
    const size_t count = several ? MSA_MODEL_MASKS - 1u : MSA_MODEL_FIRST_CLASSES == 0 ? 1u : MSA_MODEL_FIRST_CLASSES;
    const float *const logits = arena_floats(s, MSA_LOGITS_OFFSET) + first * SIDE2;
    const float *const iou = arena_floats(s, MSA_IOU_OFFSET) + first;
#if MSA_MODEL_DEPTH > 1
    /* The caller's memory stays untouched until all slices are done. */
    float *const all_logits = arena_floats(s, MSA_STAGE_OFFSET);
    float *const all_iou = all_logits + MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE2;
#else
    const float *const all_logits = logits;
    const float *const all_iou = iou;
#endif
    for (uint32_t slice = 0; slice < MSA_MODEL_DEPTH; ++slice) {
        status = decode(s, prompt, slice);
        if (status == MSA_OK && (!msa_finite(logits, count * SIDE2) || !msa_finite(iou, count))) {
            status = MSA_E_NAN;
        }
        if (status != MSA_OK) {
            if (status == MSA_E_CANCELLED || status == MSA_E_FETCH) {
                s->state = OPENED;
            }
            return status;
        }
#if MSA_MODEL_DEPTH > 1
        memcpy(all_logits + slice * count * SIDE2, logits, count * SIDE2 * sizeof(float));
        memcpy(all_iou + slice * count, iou, count * sizeof(float));
#endif
    }
    memcpy(mask->logits, all_logits, MSA_MODEL_DEPTH * count * SIDE2 * sizeof(float));
    memcpy(mask->iou, all_iou, MSA_MODEL_DEPTH * count * sizeof(float));
    mask->masks = (uint32_t)count;
    return MSA_OK;
}

/* The header as it is now: what msa_open found may be damaged since. */
static msa_status check_header(msa_session *s)
{
    return check_weights(s, (size_t)MSA_MODEL_WEIGHTS_BYTES);
}

/* Relies on: check_header passed just before. */
static msa_status check_segment(msa_session *s, uint32_t segment, msa_segment_sum *sum)
{
#if MSA_MODEL_STREAMED
    return msa_stream_check_segment(s, segment, sum);
#else
    return msa_check_segment(s->weights, segment, sum);
#endif
}

msa_status msa_weights_check(msa_session *s, uint32_t segment, msa_segment_sum *sum)
{
    msa_segment_sum own = {0, 0, 0, 0};
    if (!is_open(s) || segment >= MSA_MODEL_SEGMENTS) {
        return MSA_E_ARGUMENT;
    }
#if MSA_MODEL_STREAMED
    s->state = OPENED;
#endif
    msa_status status = check_header(s);
    if (status == MSA_OK) {
        status = check_segment(s, segment, &own);
    }
    if (sum != NULL) {
        *sum = own;
    }
    return status;
}

msa_status msa_self_test(msa_session *s)
{
    if (!is_open(s)) {
        return MSA_E_ARGUMENT;
    }
    s->state = OPENED;
    msa_status status = check_header(s);
    for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS && status == MSA_OK; ++i) {
        msa_segment_sum sum;
        status = check_segment(s, i, &sum);
    }
    for (uint32_t bank = 0; bank < MSA_MODEL_BANKS && status == MSA_OK; ++bank) {
#if MSA_MODEL_STREAMED
        status = msa_known_answer(s, bank);
#else
        status = msa_known_answer(arena_floats(s, 0), (const float *)(const void *)s->weights, bank);
#endif
    }
    return status;
}

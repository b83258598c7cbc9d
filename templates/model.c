/* SPDX-License-Identifier: 0BSD */
/* msa_model.c - the session: checks what it is given, calls the layers, hands out results. */
#include "msa_internal.h"
@ if network then
#include "msa_arith.h"
@ end
#include "msa_runtime.h"
@ for _, file in ipairs(info.extras) do
#include "$(file).h"
@ end
@ if board.isa.flushes or kernels:multiplies_pairs() then
#include "msa_kernels.h"
@ end

/* States of a session; one that is closed or was never opened has none of them. BUSY: a call is under way. */
#define OPENED 0x4d534131u
@ if network then
#define ENCODED 0x4d534132u
@ end
#define BUSY 0x4d534133u

static const unsigned char model_hash[32] = MSA_MODEL_HASH;

const msa_build *msa_build_info(void)
{
    static const msa_build build = {
        "$(version)",
@ local m = network and model or { source = { sha256 = "" }, dialect = "", image_size = 0, depth = 0 }
        "$(m.source.sha256)",
        "$(m.dialect)", "$(board.name)", "$(precision)",
        MSA_MODEL_ARITHMETIC,
        "$(front and front.facts or "")",
        "$(blob.model_hash)",
        $(m.image_size), $(m.depth),
    };
    return &build;
}

/* Sessions of two models in one program are not mixed up: each carries the start of its model's hash. */
static uint64_t build_name(void)
{
    uint64_t name = 0;
    for (uint32_t i = 0; i < 8u; ++i) {
        name = (name << 8) | model_hash[i];
    }
    return name;
}

static uint32_t mixed(uint32_t sum, uint32_t word)
{
    return (((sum << 5) | (sum >> 27)) ^ word) * 0x9e3779b1u;
}

static uint32_t mixed_address(uint32_t sum, const void *p)
{
    const uint64_t address = (uintptr_t)p;
    return mixed(mixed(sum, (uint32_t)address), (uint32_t)(address >> 32));
}

/* Of what lasts from call to call: any single changed word gives another one. */
static uint32_t seal_of(const msa_session *s)
{
    uint32_t sum = mixed(mixed(mixed(mixed(0, s->state), s->bank), s->cores), s->embedding);
    sum = mixed(mixed(mixed(mixed(mixed(sum, s->width), s->height), s->lines), s->frames), s->pictured);
    sum = mixed(mixed(sum, s->picture.width), s->picture.height);
    sum = mixed(mixed(sum, (uint32_t)s->picture.x), (uint32_t)s->picture.y);
    sum = mixed(mixed(sum, (uint32_t)s->round.done), (uint32_t)(s->round.done >> 32));
    sum = mixed(mixed(sum, s->round.segment), s->round.crc);
    return mixed_address(mixed_address(mixed_address(sum, s->arena), s->weights), s->team);
}

static void settle(msa_session *s, uint32_t state)
{
    s->state = state;
    s->seal = seal_of(s);
}

/* Whether a call may begin. */
static msa_status check_session(const msa_session *s)
{
@ if network then
    if (s == NULL || s->build != build_name() || (s->state != OPENED && s->state != ENCODED && s->state != BUSY)) {
@ else
    if (s == NULL || s->build != build_name() || (s->state != OPENED && s->state != BUSY)) {
@ end
        return MSA_E_ARGUMENT;
    }
    if (s->seal != seal_of(s)) {
        return MSA_E_SESSION;
    }
    return s->state == BUSY ? MSA_E_BUSY : MSA_OK;
}

static bool aligned(const void *p)
{
    return (uintptr_t)p % MSA_ALIGNMENT == 0;
}

@ if network or front.grey then
static float *arena_floats(const msa_session *s, size_t offset)
{
    return (float *)(void *)(s->arena + offset);
}

@ end
static msa_status check_environment(void)
{
    const msa_status status = msa_check_environment();
    if (status != MSA_OK) {
        return status;
    }
    /* Volatile: nothing of this is worked out before. */
    volatile float one = 1.0f + 0x1p-12f, many = 16777216.0f, zero = -0.0f;
@ for _, file in ipairs(computing) do
    if (!$(file)_as_written(one, many, zero)) {
        return MSA_E_FLAGS;
    }
@ end
@ if board.isa.flushes then
    if (!msa_flushing_tells()) {
        return MSA_E_ENVIRONMENT;
    }
@ end
@ if kernels:multiplies_pairs() then
    if (!msa_pairs_in_order()) {
        return MSA_E_ENVIRONMENT;
    }
@ end
    return status;
}

/* Whether memory of the caller that is read during a call is no part of what the call overwrites. */
static bool readable(const msa_session *s, const void *p, size_t bytes)
{
    return $(network and "p == NULL || " or "")msa_apart(p, bytes, s->arena, (size_t)MSA_MODEL_ARENA_BYTES);
}

static bool writable(const msa_session *s, const void *p, size_t bytes)
{
@ if streamed then
    return readable(s, p, bytes) && msa_apart(p, bytes, s, sizeof *s);
@ else
    return readable(s, p, bytes) && msa_apart(p, bytes, s, sizeof *s)
        && msa_apart(p, bytes, s->weights, (size_t)MSA_MODEL_WEIGHTS_BYTES);
@ end
}

static msa_status check_memory(const msa_session *s, const void *arena, size_t arena_bytes, const void *weights)
{
    if (arena == NULL || weights $(streamed and "!=" or "==") NULL) {
        return MSA_E_ARGUMENT;
    }
    if (!aligned(arena)$(streamed and "" or " || !aligned(weights)")) {
        return MSA_E_ALIGNMENT;
    }
    if (arena_bytes < (size_t)MSA_MODEL_ARENA_BYTES) {
        return MSA_E_ARENA;
    }
    const size_t used_bytes = MSA_MODEL_ARENA_BYTES;
@ if streamed then
    if (!msa_apart(s, sizeof *s, arena, used_bytes)) {
        return MSA_E_OVERLAP;
    }
@ else
    const size_t weights_bytes = (size_t)MSA_MODEL_WEIGHTS_BYTES;
    if (!msa_apart(s, sizeof *s, arena, used_bytes) || !msa_apart(s, sizeof *s, weights, weights_bytes)
        || !msa_apart(arena, used_bytes, weights, weights_bytes)) {
        return MSA_E_OVERLAP;
    }
@ end
    return check_environment();
}

static msa_status check_weights(msa_session *s, size_t bytes)
{
    static const char arithmetic[32] = MSA_MODEL_ARITHMETIC;
@ if streamed then
    /* Weights that no size_t can count have its low bits for their size. */
    const bool whole = bytes == (size_t)MSA_MODEL_WEIGHTS_BYTES;
    return msa_stream_check(s, whole ? MSA_MODEL_WEIGHTS_BYTES : bytes, arithmetic, model_hash);
@ else
    return msa_check_weights(s->weights, bytes, MSA_MODEL_WEIGHTS_BYTES, arithmetic, model_hash);
@ end
}

@ if guards then
/* Lines at the ends of what is used of the arena: whoever writes past its own place writes there. */
static const size_t canaries[MSA_CANARY_COUNT] = MSA_CANARIES;

static uint32_t canary_word(uint32_t i)
{
    return (i + 1u) * 0x9e3779b1u;
}

static void put_canaries(const msa_session *s)
{
    for (uint32_t k = 0; k < MSA_CANARY_COUNT; ++k) {
        uint32_t line[MSA_ALIGNMENT / sizeof(uint32_t)];
        for (uint32_t i = 0; i < sizeof line / sizeof *line; ++i) {
            line[i] = canary_word(i);
        }
        memcpy(s->arena + canaries[k], line, sizeof line);
    }
}

static bool canaries_whole(const msa_session *s)
{
    uint32_t differs = 0;
    for (uint32_t k = 0; k < MSA_CANARY_COUNT; ++k) {
        uint32_t line[MSA_ALIGNMENT / sizeof(uint32_t)];
        memcpy(line, s->arena + canaries[k], sizeof line);
        for (uint32_t i = 0; i < sizeof line / sizeof *line; ++i) {
            differs |= line[i] ^ canary_word(i);
        }
    }
    return differs == 0;
}

@ end
msa_status msa_open(msa_session *s, void *arena, size_t arena_bytes, const void *weights, size_t weights_bytes)
{
    if (s == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (check_session(s) == MSA_E_BUSY) {
        return MSA_E_BUSY;
    }
    msa_status status = check_memory(s, arena, arena_bytes, weights);
    s->build = build_name();
    s->bank = 0;
    s->width = 0;
    s->height = 0;
    s->embedding = 0;
    s->arena = (unsigned char *)arena;
    s->weights = (const unsigned char *)weights;
    s->team = NULL;
    s->cores = MSA_MODEL_CORES;
    s->fetch = 0;
    s->leaving = 0;
    s->quiet = 0;
    s->lines = 0;
    s->frames = 0;
    s->pictured = 0;
    s->picture.width = 0;
    s->picture.height = 0;
    s->picture.x = 0;
    s->picture.y = 0;
    s->round.done = 0;
    s->round.segment = 0;
    s->round.crc = 0;
    settle(s, BUSY);
    if (status == MSA_OK) {
        status = check_weights(s, weights_bytes);
    }
@ if guards then
    if (status == MSA_OK) {
        put_canaries(s);
    }
@ end
    settle(s, status == MSA_OK ? OPENED : 0u);
    return status;
}

/* Whether the session of a call that is under way is still what it was. */
static bool unchanged(const msa_session *s)
{
    return s->state == BUSY && s->seal == seal_of(s);
}

/* The end of a call that computes: its result is none unless the float unit and the session are still what they were.
 */
static msa_status ended(msa_session *s, msa_status status, uint32_t state)
{
    if (!unchanged(s)) {
        settle(s, 0u);
        return MSA_E_SESSION;
    }
@ if network and cores == 1 then
    if (s->spoiled != 0u) {
        status = MSA_E_ARENA_CHANGED;
        state = OPENED;
    }
@ end
@ if guards then
    if (!canaries_whole(s)) {
        put_canaries(s); /* said once: another call begins anew */
        status = MSA_E_ARENA_CHANGED;
        state = OPENED;
    }
@ end
    if (status == MSA_OK) {
        status = check_environment();
    }
    settle(s, state);
    return status;
}

@ if cores > 1 then

/* Two flags in turn: core 0 may be a layer ahead of a core that still looks at this layer's. */
bool msa_layer_end(msa_session *s, msa_phase phase, uint32_t layer, uint32_t core)
{
    if (s->quiet != 0u) {
        return false;
    }
    if (core == 0) {
        s->stop[layer & 1u] = msa_progress(s, phase, layer) != 0 ? 1u : 0u;
    }
    msa_cores_wait(s->team, s, core);
    return s->stop[layer & 1u] != 0;
}

@ elseif network then

/* Of some words that nothing but this session's layers may write. */
static uint32_t sampled(const msa_session *s)
{
    static const size_t samples[MSA_SAMPLE_COUNT] = MSA_SAMPLES;
    const float *const arena = arena_floats(s, 0);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < MSA_SAMPLE_COUNT; ++i) {
        sum = mixed(sum, msa_bits(arena[samples[i]]));
    }
    return sum;
}

/* A hook that computes with the same arena, by way of another session, ends this session's call. */
bool msa_layer_end(msa_session *s, msa_phase phase, uint32_t layer)
{
    if (s->quiet != 0u) {
        return false;
    }
    const uint32_t before = sampled(s);
    const bool stop = msa_progress(s, phase, layer) != 0;
    if (sampled(s) != before) {
        s->spoiled = 1;
    }
    return stop || s->spoiled != 0u;
}

@ end
$(network_text)$(front_text)/* The header as it is now: what msa_open found may be damaged since. */
static msa_status check_header(msa_session *s)
{
    return check_weights(s, (size_t)MSA_MODEL_WEIGHTS_BYTES);
}

/* Relies on: check_header passed just before. */
static msa_status check_segment(msa_session *s, uint32_t segment, msa_segment_sum *sum)
{
@ if streamed then
    return msa_stream_check_segment(s, segment, sum);
@ else
    return msa_check_segment(s->weights, segment, sum);
@ end
}

msa_status msa_weights_check(msa_session *s, uint32_t segment, msa_segment_sum *sum)
{
    msa_segment_sum own = {0, 0, 0, 0};
    msa_status status = check_session(s);
    if (status != MSA_OK) {
        return status;
    }
    if (segment >= MSA_MODEL_SEGMENTS) {
        return MSA_E_ARGUMENT;
    }
    if (sum != NULL && !writable(s, sum, sizeof *sum)) {
        return MSA_E_OVERLAP;
    }
    const uint32_t after = $(streamed and "OPENED" or "s->state");
    settle(s, BUSY);
    status = check_header(s);
    if (status == MSA_OK) {
        status = check_segment(s, segment, &own);
    }
    if (!unchanged(s)) {
        settle(s, 0u);
        return MSA_E_SESSION;
    }
    settle(s, after);
    if (sum != NULL) {
        *sum = own;
    }
    return status;
}

static msa_segment_entry segment_entry(const msa_session *s, uint32_t segment)
{
@ if streamed then
    return msa_stream_segment(s, segment);
@ else
    return msa_blob_segment(s->weights, segment);
@ end
}

/* Go on by `most` bytes, at most to the end of the round. Relies on: check_header passed just before. */
static msa_status go_on(msa_session *s, uint64_t most, msa_round *round, msa_slice *slice)
{
    msa_status status = MSA_OK;
    uint64_t still = most;
    while (status == MSA_OK && still > 0 && round->segment < MSA_MODEL_SEGMENTS) {
        const msa_segment_entry entry = segment_entry(s, round->segment);
        const uint64_t left = entry.bytes > round->done ? entry.bytes - round->done : 0;
        const uint64_t bytes = left < still ? left : still;
@ if streamed then
        status = msa_stream_sum(s, entry.offset + round->done, bytes, &round->crc);
@ else
        round->crc = msa_crc32c(round->crc, s->weights + (size_t)(entry.offset + round->done), (size_t)bytes);
@ end
        const msa_segment_sum sum = {entry.offset, entry.bytes, entry.crc, round->crc};
        slice->segment = round->segment;
        slice->sum = sum;
        round->done += bytes;
        still -= bytes;
        if ($(streamed and "status == MSA_OK && " or "")bytes == left) {
            status = round->crc == entry.crc ? MSA_OK : MSA_E_CRC;
            round->segment += status == MSA_OK ? 1u : 0u;
            round->done = 0;
            round->crc = 0;
        }
    }
    slice->complete = round->segment == MSA_MODEL_SEGMENTS;
    round->segment = slice->complete ? 0 : round->segment;
    return status;
}

msa_status msa_check_slice(msa_session *s, uint32_t max_bytes, msa_slice *slice)
{
    msa_slice own = {0, false, {0, 0, 0, 0}};
    msa_status status = check_session(s);
    if (status == MSA_OK && max_bytes < MSA_ALIGNMENT) {
        status = MSA_E_ARGUMENT;
    }
    if (status == MSA_OK && slice != NULL && !writable(s, slice, sizeof *slice)) {
        status = MSA_E_OVERLAP;
    }
    if (status != MSA_OK) {
        return status;
    }
    const uint32_t after = s->state;
    msa_round round = s->round;
    settle(s, BUSY);
    status = check_header(s);
    if (status == MSA_OK) {
        status = go_on(s, max_bytes / MSA_ALIGNMENT * MSA_ALIGNMENT, &round, &own);
    }
    if (!unchanged(s)) {
        settle(s, 0u);
        return MSA_E_SESSION;
    }
    if (status == MSA_OK || status == MSA_E_CRC) {
        s->round = round;
    }
    settle(s, after);
    if (slice != NULL) {
        *slice = own;
    }
    return status;
}

/* Segments' CRCs, then the known answer of each bank. */
static msa_status test_all(msa_session *s)
{
    msa_status status = check_header(s);
    for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS && status == MSA_OK; ++i) {
        msa_segment_sum sum;
        status = check_segment(s, i, &sum);
    }
@ if network then
    const uint32_t bank = s->bank;
    s->quiet = 1;
    for (s->bank = 0; s->bank < MSA_MODEL_BANKS && status == MSA_OK; ++s->bank) {
        status = msa_known_answer(s);
    }
    s->bank = bank;
    s->quiet = 0;
@ end
@ if streamed then
    msa_stream_end(s); /* whatever ended the call: the arena is the caller's again */
@ end
    return status;
}

msa_status msa_self_test(msa_session *s)
{
    msa_status status = check_session(s);
    if (status != MSA_OK) {
        return status;
    }
@ if front then
    s->lines = 0;
    s->frames = 0;
    s->pictured = 0;
@ end
    s->spoiled = 0;
@ if guards then
    put_canaries(s);
@ end
    settle(s, BUSY);
    status = check_environment();
    if (status == MSA_OK) {
        status = test_all(s);
    }
    return ended(s, status, OPENED);
}

/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_front.c - of msa_coverage.c: a front end. Lines as they come, wrong ones, hooks at each step, samples
 * and tables of any bits; pictures of the eye's ground. */
#include "msa_coverage.h"

#ifdef MSA_FRONT_LINES
#include <fenv.h>

enum { BYTES = MSA_FRONT_LINE_BYTES, LINES = MSA_FRONT_LINES };

static msa_samples from(uint32_t line)
{
    const msa_samples samples = {cover.lines + (size_t)line * BYTES, BYTES};
    return samples;
}

static msa_status push(uint32_t line, uint32_t count)
{
    const msa_samples samples = from(line);
    return msa_lines_push(&cover.s, &samples, count);
}

static msa_status frame(void)
{
    return msa_frame(&cover.s, &cover.samples);
}

/* What the frame gives, each of which must return `want`; levels are those of a frame that is whole. */
static void results(msa_status want, msa_status levels)
{
    (void)levels;
#ifdef MSA_FRONT_DEPTH
    COVER(msa_grey(&cover.s, cover.grey), levels);
#endif
#ifdef MSA_FRONT_WIDTH
    msa_picture shown = {0, 0, 0, 0};
    COVER(msa_picture_get(&cover.s, &shown), want);
    COVER(shown.width <= MSA_FRONT_WIDTH && shown.height <= MSA_FRONT_HEIGHT, true);
    COVER(msa_bmode(&cover.s, cover.shown), want);
#endif
}

/* Samples of any bits, of one, and a bright disc, which is a field of view. */
static void fill(uint32_t kind)
{
    uint32_t random = kind;
    for (size_t i = 0; i < (size_t)LINES * BYTES; ++i) {
        random = random * 1664525u + 1013904223u;
        cover.lines[i] = kind == 0u ? 0u : kind == 1u ? 255u : (uint8_t)(random >> 24);
    }
}

void cover_disc(void)
{
    for (int64_t y = 0; y < LINES; ++y) {
        for (int64_t x = 0; x < BYTES; ++x) {
            const int64_t across = (2 * x + 1 - BYTES) * LINES, along = (2 * y + 1 - LINES) * BYTES;
            const int64_t most = (int64_t)BYTES * LINES * 97 / 100;
            cover.lines[y * BYTES + x] = across * across + along * along <= most * most ? 0x7f : 0;
        }
    }
}

/* Samples that are refused, each by one thing that is wrong: no line is taken. */
static void wrong_samples(void)
{
    msa_samples wrong = cover.samples;
    COVER(msa_frame(&cover.s, NULL), MSA_E_ARGUMENT);
    wrong.lines = NULL;
    COVER(msa_frame(&cover.s, &wrong), MSA_E_ARGUMENT);
    COVER(msa_lines_push(&cover.s, NULL, 0), MSA_E_ARGUMENT);
    COVER(push(0, LINES + 1u), MSA_E_LINES);
    COVER(push(0, UINT32_MAX), MSA_E_LINES);
    if (MSA_FRONT_ALIGNMENT > 1) {
        wrong.lines = cover.lines + 1;
        COVER(msa_frame(&cover.s, &wrong), MSA_E_ALIGNMENT);
        wrong = cover.samples;
        wrong.stride += 1u;
        COVER(msa_frame(&cover.s, &wrong), MSA_E_ALIGNMENT);
    }
    if (LINES > 1) {
        wrong = cover.samples;
        wrong.stride -= MSA_FRONT_ALIGNMENT;
        COVER(msa_frame(&cover.s, &wrong), MSA_E_IMAGE_STRIDE);
        wrong.stride = SIZE_MAX / MSA_FRONT_ALIGNMENT * MSA_FRONT_ALIGNMENT;
        COVER(msa_frame(&cover.s, &wrong), MSA_E_IMAGE_STRIDE);
    }
    wrong = cover.samples;
    wrong.lines = cover.arena + MSA_MODEL_ARENA_BYTES - MSA_ALIGNMENT;
    COVER(msa_frame(&cover.s, &wrong), MSA_E_OVERLAP);
    msa_samples *const inside = (msa_samples *)(void *)(cover.arena + MSA_ALIGNMENT);
    *inside = cover.samples;
    COVER(msa_frame(&cover.s, inside), MSA_E_OVERLAP);
    COVER(cover.s.lines, 0);
}

/* Before the first frame, of it, and while the next one's lines come. */
static void orders(void)
{
    msa_samples single = cover.samples;
    results(MSA_E_ORDER, MSA_E_ORDER);
    COVER(push(0, 0), MSA_OK);
    single.stride = 0; /* of one line no stride is read */
    COVER(msa_lines_push(&cover.s, &single, 1), MSA_OK);
    COVER(push(1u % LINES, LINES), LINES > 1 ? MSA_E_LINES : MSA_OK);
    COVER(cover.s.lines, 1);
    results(LINES > 1 ? MSA_E_ORDER : MSA_OK, LINES > 1 ? MSA_E_ORDER : MSA_OK);
    COVER(frame(), MSA_OK); /* what was begun is forgotten */
    results(MSA_OK, MSA_OK);
    COVER(push(0, 1), MSA_OK);
    results(MSA_OK, LINES > 1 ? MSA_E_ORDER : MSA_OK);
    for (uint32_t count = 1; count <= 2u * MSA_FRONT_LANES + 1u && count <= LINES; ++count) {
        cover_opened();
        for (uint32_t line = 0, left = LINES; left > 0; line += count) {
            const uint32_t now = left < count ? left : count;
            left -= now;
            COVER(push(line, now), MSA_OK);
        }
        results(MSA_OK, MSA_OK);
    }
}

/* Where results may not go. */
static void overlaps(void)
{
    void *const places[3] = {cover.arena + MSA_ALIGNMENT, &cover.s, cover.weights};
    for (uint32_t i = 0; i < 3u; ++i) {
        COVER(msa_weights_check(&cover.s, 0, (msa_segment_sum *)places[i]), MSA_E_OVERLAP);
        COVER(msa_check_slice(&cover.s, 4096, (msa_slice *)places[i]), MSA_E_OVERLAP);
#ifdef MSA_FRONT_DEPTH
        COVER(msa_grey(&cover.s, (float *)places[i]), MSA_E_OVERLAP);
#endif
#ifdef MSA_FRONT_WIDTH
        COVER(msa_picture_get(&cover.s, (msa_picture *)places[i]), MSA_E_OVERLAP);
        COVER(msa_bmode(&cover.s, (uint8_t *)places[i]), MSA_E_OVERLAP);
#endif
    }
#ifdef MSA_FRONT_DEPTH
    COVER(msa_grey(&cover.s, NULL), MSA_E_ARGUMENT);
#endif
#ifdef MSA_FRONT_WIDTH
    COVER(msa_picture_get(&cover.s, NULL), MSA_E_ARGUMENT);
    COVER(msa_bmode(&cover.s, NULL), MSA_E_ARGUMENT);
    COVER(msa_bmode(NULL, cover.shown), MSA_E_ARGUMENT);
#endif
}

static msa_status with(cover_act act, uint32_t step)
{
    cover.act = act;
    cover.phase = MSA_PHASE_FRONT;
    cover.at = step;
    const msa_status status = frame();
    cover.act = ACT_NONE;
    (void)fesetround(FE_TONEAREST);
    return status;
}

/* Hooks that end the frame after any step, that call the session, and that leave it, or the float unit, another. */
static void hooks(void)
{
    for (uint32_t step = 0; step < MSA_FRONT_STEPS; ++step) {
        cover_opened();
        COVER(frame(), MSA_OK);
        COVER(with(ACT_CANCEL, step), MSA_E_CANCELLED);
        results(MSA_E_ORDER, MSA_E_ORDER);
        COVER(frame(), MSA_OK);
        COVER(with(ACT_CALLS, step), MSA_OK);
        results(MSA_OK, MSA_OK);
        COVER(with(ACT_STATE, step), MSA_E_SESSION);
        COVER(frame(), MSA_E_ARGUMENT);
        cover_opened();
        COVER(with(ACT_BANK, step), MSA_E_SESSION);
        cover_opened();
        COVER(with(ACT_ROUND, step), MSA_E_ENVIRONMENT);
        results(MSA_E_ORDER, MSA_E_ORDER);
        COVER(cover.s.lines, 0);
    }
    cover_opened();
    COVER(frame(), MSA_OK);
    cover.act = ACT_CANCEL;
    cover.at = 0;
    COVER(push(0, 1), MSA_E_CANCELLED);
    cover.act = ACT_NONE;
    results(LINES > 1 ? MSA_OK : MSA_E_ORDER, MSA_E_ORDER); /* the frame before is there, but no more its levels */
    COVER(frame(), MSA_OK);
    cover.s.frames ^= 2u;
    COVER(frame(), MSA_E_SESSION);
#ifdef MSA_FRONT_WIDTH
    COVER(msa_bmode(&cover.s, cover.shown), MSA_E_SESSION);
#endif
}

/* The picture itself is no result of samples of any bits: only that there is one, or no field of view. */
static void any(void)
{
    const msa_status status = frame();
    COVER(status == MSA_OK || status == MSA_E_FIELD, true);
    results(status == MSA_OK ? MSA_OK : MSA_E_ORDER, status == MSA_OK ? MSA_OK : MSA_E_ORDER);
}

/* Word i of a table: any bits, none, pairs of none and all; or, behind so many sixteenths of the table, all. */
static uint32_t any_word(uint32_t kind, size_t i, size_t words, uint32_t own)
{
    const uint32_t random = ((uint32_t)i + 1u) * 2654435761u;
    if (kind < 4u) {
        return kind == 0u ? random ^ random >> 15 : kind == 1u || i % 2u == kind - 2u ? 0u : UINT32_MAX;
    }
    return i * 16u < words * (kind - 3u) ? own : UINT32_MAX;
}

static void any_tables(void)
{
    const unsigned char *const own = memcpy(cover_memory(MSA_MODEL_WEIGHTS_BYTES), cover.weights,
                                            MSA_MODEL_WEIGHTS_BYTES);
    for (uint32_t kind = 0; kind < 4u + 15u; ++kind) {
        for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS; ++i) {
            const msa_segment_entry entry = msa_blob_segment(own, i);
            for (size_t at = 0; at + 4u <= (size_t)entry.bytes; at += 4u) {
                uint32_t word;
                (void)memcpy(&word, own + (size_t)entry.offset + at, sizeof word);
                word = any_word(kind, at / 4u, (size_t)entry.bytes / 4u, word);
                (void)memcpy(cover.weights + (size_t)entry.offset + at, &word, sizeof word);
            }
        }
        any();
    }
}

#if COVER_NETWORK
/* The network on the frame's picture, once and for the frame at hand, cut off, and of samples that are refused. */
static void encoded(void)
{
    msa_prompt none = cover.prompt;
    msa_samples wrong = cover.samples;
    none.point_count = 0;
    cover_opened();
    COVER(msa_encode_samples(&cover.s, NULL), MSA_E_ORDER);
    COVER(msa_encode_samples(&cover.s, &cover.samples), MSA_OK);
    COVER(msa_segment(&cover.s, &none, &cover.mask), MSA_OK);
    COVER(msa_encode_samples(&cover.s, NULL), MSA_OK);
    COVER(msa_segment(&cover.s, &none, &cover.mask), MSA_OK);
    wrong.lines = NULL;
    COVER(msa_encode_samples(&cover.s, &wrong), MSA_E_ARGUMENT);
    (void)fesetround(FE_UPWARD);
    COVER(msa_encode_samples(&cover.s, NULL), MSA_E_ENVIRONMENT);
    (void)fesetround(FE_TONEAREST);
    cover.act = ACT_CANCEL;
    cover.phase = MSA_PHASE_ENCODE;
    cover.at = 0;
    COVER(msa_encode_samples(&cover.s, NULL), MSA_E_CANCELLED);
    cover.act = ACT_NONE;
    COVER(msa_segment(&cover.s, &none, &cover.mask), MSA_E_ORDER);
}
#else
/* What the library's own hooks leave to do, and what it says of products that are contracted, sums that are regrouped,
 * zeros that lose their sign. */
void cover_library_hooks(void)
{
    cover_opened();
    COVER(frame(), MSA_OK);
    COVER(msa_self_test(&cover.s), MSA_OK);
    results(MSA_E_ORDER, MSA_E_ORDER);
    COVER(msa_progress(&cover.s, MSA_PHASE_FRONT, 0), 0);
    COVER(msa_kernels_as_written(1.0f + 0x1p-12f, 16777216.0f, -0.0f), true);
    COVER(msa_kernels_as_written(1.5f, 16777216.0f, -0.0f), false);
    COVER(msa_kernels_as_written(1.0f + 0x1p-12f, 1.0f, -0.0f), false);
    COVER(msa_kernels_as_written(1.0f + 0x1p-12f, 16777216.0f, 1.0f), false);
}
#endif

void cover_front(void)
{
    cover_opened();
    wrong_samples();
    orders();
    overlaps();
    hooks();
    cover_opened();
    for (uint32_t kind = 0; kind < 3u; ++kind) {
        fill(kind);
        any();
    }
    cover_disc();
#if COVER_NETWORK
    encoded();
#endif
#ifdef MSA_FUNDUS_H
    cover_fundus();
#endif
}

void cover_front_tables(void)
{
    cover_opened();
    any_tables();
}
#endif

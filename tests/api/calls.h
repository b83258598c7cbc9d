/* SPDX-License-Identifier: Apache-2.0 */
/* calls.h - sequences of calls of the C API, right ones and wrong ones, held against a model of what msa_model.h says
 * of the session after each. Defines the hooks; its user gives `weights` (mapped builds: writable memory) or `stored`,
 * and `arena`. */
#ifndef CALLS_H
#define CALLS_H

#ifndef MSA_MODEL_H
#include "msa_model.h"
#endif
#if MSA_MODEL_CORES > 1
#include "msa_threads.h"
#endif

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDE2 = MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE,
    LOGITS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE2,
    IOUS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS,
    EMBEDDING = MSA_MODEL_DEPTH * MSA_MODEL_OUT * MSA_MODEL_GRID * MSA_MODEL_GRID,
    IMAGES = 2,
    WIDTH = 40,
    HEIGHT = 30
};

static unsigned char *arena, *weights;
#if MSA_MODEL_STREAMED
static const unsigned char *stored;
static int fetch_fails;
#endif
static uint64_t damaged; /* a byte of the weights that is wrong, */
static unsigned char damage; /* and which of its bits; 0: none */
static msa_session s;
static unsigned wrong; /* of what was looked at */

/* What the model says: 0: closed, 1: open, 2: open, and its memory was changed. */
static struct {
    int state, image, bank, team;
    uint64_t round; /* bytes that msa_check_slice has read since its round began */
    int stale; /* the arena is another's: the next to look sees that the embedding is gone */
} model;

static uint8_t pixels[IMAGES][WIDTH * HEIGHT * 3];
static struct {
    float logits[LOGITS], iou[IOUS], embedding[EMBEDDING];
    uint32_t masks;
} right[IMAGES][MSA_MODEL_BANKS];
static float logits[LOGITS], iou[IOUS], embedding[EMBEDDING];
#if MSA_MODEL_CORES > 1
static msa_threads team;
#endif

static const char *now = "", *before = "", *first = "";

static void must(int holds, const char *what, int got, int want)
{
    if (!holds && ++wrong <= 20) {
        printf("%s, %s, %s: %s: found %d (%s), expected %d\n", first, before, now, what, got,
               msa_status_text((msa_status)got), want);
    }
}

static const float click[1][2] = {{17.0f, 12.0f}}, outside[1][2] = {{WIDTH + 1.0f, 0.0f}};
static const int8_t label[1] = {1};

static msa_image image_of(int which)
{
    const msa_image image = msa_rgb(pixels[which], WIDTH, HEIGHT);
    return image;
}

static msa_prompt a_prompt(void)
{
    const msa_prompt prompt = {click, label, 1, NULL, NULL, false, 1, false, 0};
    return prompt;
}

/* ---- hooks ---- */

static int progressed, cancel_at, nest;
static msa_session other;

static void nested_calls(void)
{
    const msa_image image = image_of(0);
    const msa_prompt prompt = a_prompt();
    float l[1], i[1];
    msa_mask mask = {l, i, 0};
    must(msa_encode(&s, &image) == MSA_E_BUSY, "nested encode", 0, MSA_E_BUSY);
    must(msa_encode(&s, NULL) == MSA_E_BUSY, "nested encode of nothing", 0, MSA_E_BUSY);
    must(msa_segment(&s, &prompt, &mask) == MSA_E_BUSY, "nested segment", 0, MSA_E_BUSY);
    must(msa_get_embedding(&s, embedding) == MSA_E_BUSY, "nested get_embedding", 0, MSA_E_BUSY);
    must(msa_select_bank(&s, 0) == MSA_E_BUSY, "nested select_bank", 0, MSA_E_BUSY);
    must(msa_weights_check(&s, 0, NULL) == MSA_E_BUSY, "nested weights_check", 0, MSA_E_BUSY);
    must(msa_check_slice(&s, 64, NULL) == MSA_E_BUSY, "nested check_slice", 0, MSA_E_BUSY);
    must(msa_self_test(&s) == MSA_E_BUSY, "nested self_test", 0, MSA_E_BUSY);
    must(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) == MSA_E_BUSY, "nested open", 0,
         MSA_E_BUSY);
#if MSA_MODEL_CORES > 1
    must(msa_set_team(&s, NULL) == MSA_E_BUSY, "nested set_team", 0, MSA_E_BUSY);
    must(msa_encode(&other, &image) == MSA_E_CORES, "another session's encode with the same team", 0, MSA_E_CORES);
#endif
}

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    (void)session;
    (void)phase;
    (void)layer;
    ++progressed;
    if (nest == 1 && progressed == 2) {
        nested_calls();
    }
    if (nest == 2 && progressed == 1) { /* another session over the same arena */
        const msa_image image = image_of(1);
        nest = 0;
        must(msa_encode(&other, &image) == MSA_OK, "another session's encode", 0, MSA_OK);
    }
    return progressed == cancel_at;
}

#if MSA_MODEL_STREAMED
static struct {
    uint64_t offset;
    size_t bytes;
    void *to;
} asked;

int msa_weights_fetch_begin(msa_session *session, uint64_t offset, size_t bytes, void *dst)
{
    must(session == &s || session == &other, "the hook's session", 0, 0);
    if (fetch_fails != 0 && --fetch_fails == 0) {
        return -1;
    }
    asked.offset = offset;
    asked.bytes = bytes;
    asked.to = dst;
    return 0;
}

int msa_weights_fetch_wait(msa_session *session)
{
    must(session == &s || session == &other, "the hook's session", 0, 0);
    memcpy(asked.to, stored + asked.offset, asked.bytes);
    if (damage != 0 && damaged - asked.offset < asked.bytes) {
        ((unsigned char *)asked.to)[damaged - asked.offset] ^= damage;
    }
    return 0;
}
#endif

/* ---- calls, and what the model says of them ---- */

/* A status that any call of a session that is not open, or not whole, returns; -1: another. */
static int unopened(void) { return model.state == 0 ? MSA_E_ARGUMENT : model.state == 2 ? MSA_E_SESSION : -1; }

static void forget(void)
{
    model.image = -1;
    model.stale = 0;
}

static void opened(msa_status got, msa_status want)
{
    must(got == want, "msa_open", (int)got, (int)want);
    forget();
    model.state = want == MSA_OK;
    model.bank = 0;
    model.team = 0;
    model.round = 0;
}

static msa_status open_with(void *memory, size_t bytes, size_t weights_bytes)
{
    return msa_open(&s, memory, bytes, weights, weights_bytes);
}

static void open_right(void) { opened(open_with(arena, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES), MSA_OK); }
static void open_null(void) { opened(open_with(NULL, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARGUMENT); }
static void open_short(void)
{
    opened(open_with(arena, MSA_MODEL_ARENA_BYTES - 1, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARENA);
}
static void open_unaligned(void)
{
    opened(open_with(arena + 4, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ALIGNMENT);
}
static void open_other_weights(void)
{
    opened(open_with(arena, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES - 64), MSA_E_SIZE);
}
static void open_over_itself(void)
{
    unsigned char *const here = (unsigned char *)&s;
    opened(open_with(here - (uintptr_t)here % MSA_ALIGNMENT, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES),
           MSA_E_OVERLAP);
}
static void open_rounding_upward(void)
{
    fesetround(FE_UPWARD);
    const msa_status status = open_with(arena, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES);
    fesetround(FE_TONEAREST);
    opened(status, MSA_E_ENVIRONMENT);
}

static void encoded(msa_status got, int want, int which)
{
    if (unopened() >= 0) {
        want = unopened();
    } else {
        if (MSA_MODEL_CORES > 1 && !model.team && (want == MSA_OK || want == MSA_E_CANCELLED)) {
            want = MSA_E_CORES;
        }
        forget();
        model.image = want == MSA_OK ? which : -1;
    }
    must((int)got == want, "msa_encode", (int)got, want);
}

static msa_status encode(const msa_image *image)
{
    progressed = 0;
    return msa_encode(&s, image);
}

static void encode_image(int which)
{
    const msa_image image = image_of(which);
    encoded(encode(&image), MSA_OK, which);
}
static void encode_first(void) { encode_image(0); }
static void encode_second(void) { encode_image(1); }
static void encode_null(void) { encoded(encode(NULL), MSA_E_ARGUMENT, 0); }
static void encode_changed(int width, size_t stride, const uint8_t *from, msa_status want)
{
    msa_image image = image_of(1);
    image.width = (uint32_t)width;
    image.stride = stride;
    image.pixels = from;
    encoded(encode(&image), (int)want, 1);
}
static void encode_no_pixels(void) { encode_changed(WIDTH, 3 * WIDTH, NULL, MSA_E_ARGUMENT); }
static void encode_no_width(void) { encode_changed(0, 3 * WIDTH, pixels[1], MSA_E_IMAGE_SIZE); }
static void encode_too_wide(void) { encode_changed(MSA_MAX_SIDE + 1, 3 * WIDTH, pixels[1], MSA_E_IMAGE_SIZE); }
static void encode_short_rows(void) { encode_changed(WIDTH, 3 * WIDTH - 1, pixels[1], MSA_E_IMAGE_STRIDE); }
static void encode_from_arena(void)
{
    encode_changed(WIDTH, 3 * WIDTH, arena + MSA_MODEL_ARENA_BYTES - 100, MSA_E_OVERLAP);
}
static void encode_rounding_upward(void)
{
    const msa_image image = image_of(1);
    fesetround(FE_UPWARD);
    const msa_status status = encode(&image);
    fesetround(FE_TONEAREST);
    encoded(status, MSA_E_ENVIRONMENT, 1);
}
static void encode_cancelled(void)
{
    const msa_image image = image_of(1);
    cancel_at = 1;
    const msa_status status = encode(&image);
    cancel_at = 0;
    encoded(status, MSA_E_CANCELLED, 1);
}
static void encode_nesting(void)
{
    nest = 1;
    encode_image(1);
    nest = 0;
}

static void compare(const char *what, const float *got, const float *want, size_t count)
{
    must(memcmp(got, want, count * sizeof(float)) == 0, what, 0, 0);
}

/* What the model says of a call that needs the embedding. */
static int wanted(int want, int after)
{
    if (unopened() >= 0) {
        return unopened();
    }
    if (want == MSA_E_ARGUMENT && after == 0) {
        return want;
    }
    if (model.image < 0) {
        return MSA_E_ORDER;
    }
    if (model.stale && (want == MSA_OK || want == MSA_E_CANCELLED || want == MSA_E_FETCH || want == MSA_E_CORES)) {
        return MSA_E_ARENA_CHANGED;
    }
    return want;
}

static void segmented(const msa_prompt *prompt, msa_mask *mask, int want)
{
    memset(logits, 0x55, sizeof logits);
    memset(iou, 0x55, sizeof iou);
    progressed = 0;
    const msa_status got = msa_segment(&s, prompt, mask);
    if (MSA_MODEL_CORES > 1 && !model.team && (want == MSA_OK || want == MSA_E_CANCELLED)) {
        want = MSA_E_CORES;
    }
    want = wanted(want, mask != NULL && mask->logits != NULL);
    must((int)got == want, "msa_segment", (int)got, want);
    if (want == MSA_OK) {
        const size_t count = (size_t)MSA_MODEL_DEPTH * right[model.image][model.bank].masks;
        compare("logits are this image's", logits, right[model.image][model.bank].logits, count * SIDE2);
        compare("predicted IoU is this image's", iou, right[model.image][model.bank].iou, count);
    } else {
        int untouched = mask == NULL || mask->masks == 77;
        for (size_t i = 0; i < sizeof logits; ++i) {
            untouched = untouched && ((const unsigned char *)logits)[i] == 0x55;
        }
        must(untouched, "a refused msa_segment leaves the mask as it was", 0, 0);
    }
    if (want == MSA_E_CANCELLED || want == MSA_E_FETCH || want == MSA_E_ARENA_CHANGED) {
        forget();
    }
}

static void segment_with(const msa_prompt *prompt, int want)
{
    msa_mask mask = {logits, iou, 77};
    segmented(prompt, &mask, want);
}
static void segment_right(void)
{
    const msa_prompt prompt = a_prompt();
    segment_with(&prompt, MSA_OK);
}
static void segment_no_mask(void)
{
    const msa_prompt prompt = a_prompt();
    segmented(&prompt, NULL, MSA_E_ARGUMENT);
}
static void segment_no_prompt(void) { segment_with(NULL, MSA_E_ARGUMENT); }
static void segment_outside(void)
{
    msa_prompt prompt = a_prompt();
    prompt.points = outside;
    segment_with(&prompt, MSA_E_POINT);
}
static void segment_many_slices(void)
{
    msa_prompt prompt = a_prompt();
    prompt.slices = MSA_MODEL_DEPTH + 1u;
    segment_with(&prompt, MSA_E_SLICES);
}
static void segment_from_arena(void)
{
    msa_prompt prompt = a_prompt();
    unsigned char *const last = arena + MSA_MODEL_ARENA_BYTES - 1, kept = *last;
    prompt.labels = (const int8_t *)last;
    *last = 1;
    segment_with(&prompt, MSA_E_OVERLAP);
    *last = kept; /* a guarded arena has a line there that nobody may write */
}
static void segment_into_arena(void)
{
    const msa_prompt prompt = a_prompt();
    msa_mask mask = {(float *)(void *)arena, iou, 77};
    segmented(&prompt, &mask, MSA_E_OVERLAP);
}
static void segment_rounding_upward(void)
{
    const msa_prompt prompt = a_prompt();
    fesetround(FE_UPWARD);
    segment_with(&prompt, MSA_E_ENVIRONMENT);
    fesetround(FE_TONEAREST);
}
static void segment_cancelled(void)
{
    const msa_prompt prompt = a_prompt();
    cancel_at = 1;
    segment_with(&prompt, MSA_E_CANCELLED);
    cancel_at = 0;
}
static void segment_nesting(void)
{
    nest = 1;
    segment_right();
    nest = 0;
}

static void embedding_right(void)
{
    memset(embedding, 0x55, sizeof embedding);
    const msa_status got = msa_get_embedding(&s, embedding);
    const int want = wanted(MSA_OK, 1);
    must((int)got == want, "msa_get_embedding", (int)got, want);
    if (want == MSA_OK) {
        compare("the embedding is this image's", embedding, right[model.image][model.bank].embedding, EMBEDDING);
    }
}
static void embedding_null(void)
{
    const msa_status got = msa_get_embedding(&s, NULL);
    const int want = unopened() >= 0 ? unopened() : (int)MSA_E_ARGUMENT;
    must((int)got == want, "msa_get_embedding", (int)got, want);
}

static void bank(uint32_t which)
{
    const msa_status got = msa_select_bank(&s, which);
    const int want = unopened() >= 0 ? unopened() : which < MSA_MODEL_BANKS ? (int)MSA_OK : (int)MSA_E_BANK;
    must((int)got == want, "msa_select_bank", (int)got, want);
    if (want == MSA_OK) {
        forget();
        model.bank = (int)which;
    }
}
static void bank_first(void) { bank(0); }
static void bank_last(void) { bank(MSA_MODEL_BANKS - 1); }
static void bank_wrong(void) { bank(MSA_MODEL_BANKS); }

static void tested(msa_status got, msa_status want)
{
    const int wants = unopened() >= 0 ? unopened() : (int)want;
    must((int)got == wants, "msa_self_test", (int)got, wants);
    if (unopened() < 0) {
        forget();
    }
}
static void self_test(void) { tested(msa_self_test(&s), MSA_OK); }
static void self_test_rounding_upward(void)
{
    fesetround(FE_UPWARD);
    const msa_status status = msa_self_test(&s);
    fesetround(FE_TONEAREST);
    tested(status, MSA_E_ENVIRONMENT);
}

/* Flip bits of a byte of the weights, or flip them back: damage_weights(at, 0). */
static void damage_weights(uint64_t at, unsigned char bits)
{
    if (weights != NULL) {
        weights[at] ^= bits != 0 ? bits : damage;
    }
    damaged = at;
    damage = bits;
}

static void self_test_damaged(void)
{
    damage_weights(MSA_MODEL_WEIGHTS_BYTES - 4, 1u);
    const msa_status status = msa_self_test(&s);
    damage_weights(damaged, 0);
    tested(status, MSA_E_CRC);
}

static void checked(uint32_t segment, int want)
{
    msa_segment_sum sum;
    const msa_status got = msa_weights_check(&s, segment, &sum);
    want = unopened() >= 0 ? unopened() : want;
    must((int)got == want, "msa_weights_check", (int)got, want);
    if (MSA_MODEL_STREAMED && unopened() < 0 && segment < MSA_MODEL_SEGMENTS) {
        forget();
    }
}
static void weights_check(void) { checked(0, MSA_OK); }
static void weights_check_no_segment(void) { checked(MSA_MODEL_SEGMENTS, MSA_E_ARGUMENT); }
static void weights_check_into_arena(void)
{
    const msa_status got = msa_weights_check(&s, 0, (msa_segment_sum *)(void *)arena);
    const int want = unopened() >= 0 ? unopened() : (int)MSA_E_OVERLAP;
    must((int)got == want, "msa_weights_check", (int)got, want);
}

/* ---- the weights in slices ---- */

static msa_segment_sum sums[MSA_MODEL_SEGMENTS];
static unsigned randomly = 1;

static uint64_t below(uint64_t n)
{
    randomly = randomly * 1664525u + 1013904223u;
    const uint64_t high = randomly >> 8;
    randomly = randomly * 1664525u + 1013904223u;
    return (high << 24 | randomly >> 8) % n;
}

static uint64_t round_bytes(void) { return MSA_MODEL_WEIGHTS_BYTES - sums[0].offset; }

/* One slice of whole weights: a round is complete when its last byte is read, and not before. */
static void slice_of(uint32_t max_bytes)
{
    msa_slice slice = {77, true, {0, 0, 0, 0}};
    const msa_status got = msa_check_slice(&s, max_bytes, &slice);
    const int want = unopened() >= 0 ? unopened() : (int)MSA_OK;
    must((int)got == want, "msa_check_slice", (int)got, want);
    if (want == MSA_OK) {
        model.round += max_bytes / 64u * 64u;
        const bool complete = model.round >= round_bytes();
        must(slice.complete == complete, "the round is complete", slice.complete, complete);
        model.round = complete ? 0 : model.round;
        must(slice.segment < MSA_MODEL_SEGMENTS && slice.sum.offset == sums[slice.segment].offset
                 && slice.sum.expected == sums[slice.segment].expected,
             "the segment that was read is described", (int)slice.segment, 0);
    } else {
        must(slice.segment == 77, "a refused msa_check_slice tells nothing", (int)slice.segment, 77);
    }
}
static void slice_right(void) { slice_of(MSA_MODEL_WEIGHTS_BYTES / 3u + 1u); }
static void slice_least(void) { slice_of(64 + 63); }
static void slice_most(void) { slice_of(UINT32_MAX); }

static void sliced(msa_status got, msa_status want)
{
    const int wants = unopened() >= 0 ? unopened() : (int)want;
    must((int)got == wants, "msa_check_slice", (int)got, wants);
}
static void slice_of_nothing(void) { sliced(msa_check_slice(&s, 63, NULL), MSA_E_ARGUMENT); }
static void slice_into_arena(void)
{
    sliced(msa_check_slice(&s, 64, (msa_slice *)(void *)arena), MSA_E_OVERLAP);
}
#if MSA_MODEL_STREAMED
static void slice_fetch_fails(void)
{
    fetch_fails = 1 + (int)below(2);
    sliced(msa_check_slice(&s, 64, NULL), MSA_E_FETCH);
    fetch_fails = 0;
}
#endif

/* Slices until the bit that is wrong is found, at most so many: its segment is named, again by those that follow, and
 * no round is complete before it is right again. */
static void find(uint32_t max_bytes, uint64_t most)
{
    msa_slice slice = {0, false, {0, 0, 0, 0}};
    msa_status got = MSA_OK;
    uint64_t calls = 0;
    for (; got == MSA_OK && calls <= most; ++calls) {
        got = msa_check_slice(&s, max_bytes, &slice);
    }
    must(got != MSA_OK && calls <= most, "a wrong bit is found in time", (int)calls, (int)most);
    if (damaged < sums[0].offset) {
        must(calls == 1, "a wrong bit of the header is found at once", (int)calls, 1);
        return;
    }
    const msa_segment_sum *const sum = &sums[slice.segment % MSA_MODEL_SEGMENTS];
    must(got == MSA_E_CRC && damaged - sum->offset < sum->bytes && slice.sum.offset == sum->offset
             && slice.sum.bytes == sum->bytes && slice.sum.expected == sum->expected
             && slice.sum.found != sum->expected && !slice.complete,
         "the damaged segment is described", (int)got, MSA_E_CRC);
    model.round = sum->offset - sums[0].offset;
    got = msa_check_slice(&s, UINT32_MAX, &slice);
    must(got == MSA_E_CRC && !slice.complete && slice.sum.offset == sum->offset, "and again", (int)got, MSA_E_CRC);
}

static void slice_damaged(void)
{
    if (unopened() < 0) {
        damage_weights(below(MSA_MODEL_WEIGHTS_BYTES), (unsigned char)(1u << below(8)));
        const uint32_t max_bytes = MSA_MODEL_WEIGHTS_BYTES / 2u;
        find(max_bytes, MSA_FINDING_SLICES(max_bytes));
        damage_weights(damaged, 0);
    }
}

/* Single bits of the weights, flipped between any two slices, or as a round begins; and of the state of the round. */
static void flips_found(unsigned flips)
{
    static const uint32_t sizes[] = {65536, 4096 + 33, 20000, 1000000, 300000};
    first = before = "";
    now = "flips";
    model.state = 1;
    open_right();
    for (unsigned i = 0; i < flips; ++i) {
        const uint32_t max_bytes = sizes[i % 5u];
        const bool anew = i % 3u == 0;
        if (anew) {
            open_right();
        }
        for (uint64_t before_it = anew ? 0 : below(MSA_ROUND_SLICES(max_bytes)); before_it > 0; --before_it) {
            slice_of(max_bytes);
        }
        damage_weights(below(MSA_MODEL_WEIGHTS_BYTES), (unsigned char)(1u << below(8)));
        find(max_bytes, anew ? MSA_ROUND_SLICES(max_bytes) : MSA_FINDING_SLICES(max_bytes));
        damage_weights(damaged, 0);
        slice_of(max_bytes);
    }
    for (unsigned bit = 0; bit < 8u * sizeof s.round; ++bit) {
        unsigned char *const byte = (unsigned char *)&s.round + bit / 8u;
        *byte ^= (unsigned char)(1u << bit % 8u);
        must(msa_check_slice(&s, 64, NULL) == MSA_E_SESSION, "a changed round is found", (int)bit, MSA_E_SESSION);
        *byte ^= (unsigned char)(1u << bit % 8u);
        slice_of(64);
    }
}

#if MSA_MODEL_CORES > 1
static void set_team(void *given)
{
    const msa_status got = msa_set_team(&s, given);
    const int want = unopened() >= 0 ? unopened() : (int)MSA_OK;
    must((int)got == want, "msa_set_team", (int)got, want);
    if (want == MSA_OK) {
        model.team = given != NULL;
    }
}
static void team_right(void) { set_team(&team); }
static void team_none(void) { set_team(NULL); }
#endif

#if MSA_MODEL_STREAMED
static void open_fetch_fails(void)
{
    fetch_fails = 1;
    opened(open_with(arena, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES), MSA_E_FETCH);
    fetch_fails = 0;
    model.state = 0;
}
static void encode_fetch_fails(void)
{
    const msa_image image = image_of(1);
    fetch_fails = 2;
    const msa_status status = encode(&image);
    fetch_fails = 0;
    encoded(status, MSA_MODEL_CORES > 1 && !model.team ? MSA_E_CORES : MSA_E_FETCH, 1);
}
static void segment_fetch_fails(void)
{
    const msa_prompt prompt = a_prompt();
    fetch_fails = 2;
    segment_with(&prompt, MSA_MODEL_CORES > 1 && !model.team ? MSA_E_CORES : MSA_E_FETCH);
    fetch_fails = 0;
}
static void self_test_fetch_fails(void)
{
    fetch_fails = 2;
    tested(msa_self_test(&s), MSA_E_FETCH);
    fetch_fails = 0;
}
#endif

/* A session of another place in the program over the same arena, with the second image. */
static void open_other(void)
{
    must(msa_open(&other, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) == MSA_OK,
         "another session's open", 0, 0);
#if MSA_MODEL_CORES > 1
    must(msa_set_team(&other, &team) == MSA_OK, "another session's team", 0, 0);
#endif
}
static void another_session(void)
{
    const msa_image image = image_of(1);
    open_other();
    progressed = 0;
    must(msa_encode(&other, &image) == MSA_OK, "another session's encode", 0, 0);
    if (model.image >= 0) { /* the same embedding is as good */
        const int same =
            memcmp(right[model.image][model.bank].embedding, right[1][0].embedding, sizeof right[1][0].embedding) == 0;
        if (same && model.stale) { /* but the arena may differ where no encode writes, between rows */
            encode_second();
        } else {
            model.stale = !same;
        }
    }
}

static void arena_written(void)
{
    memset(arena, 0x3c, MSA_MODEL_ARENA_BYTES);
    model.stale = model.image >= 0;
}

static void session_flipped(void)
{
    s.width ^= 4u;
    if (model.state == 1) {
        model.state = 2;
        forget();
    } else if (model.state == 2) {
        s.width ^= 4u; /* two flips of one bit are none */
    }
}

#if MSA_MODEL_CORES == 1
/* As another_session, from within a hook of this one's call. */
static void encode_while_another(void)
{
    const msa_image image = image_of(0);
    open_other();
    nest = 2;
    const msa_status status = encode(&image);
    const int ran = nest == 0;
    nest = 0;
    encoded(status, ran ? MSA_E_ARENA_CHANGED : MSA_OK, 0);
}
#endif

typedef struct step {
    const char *name;
    void (*call)(void);
} step;
#define STEP(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
static const step steps[] = {
    STEP(open_right),
    STEP(open_null),
    STEP(open_short),
    STEP(open_unaligned),
    STEP(open_other_weights),
    STEP(open_over_itself),
    STEP(open_rounding_upward),
    STEP(encode_first),
    STEP(encode_second),
    STEP(encode_null),
    STEP(encode_no_pixels),
    STEP(encode_no_width),
    STEP(encode_too_wide),
    STEP(encode_short_rows),
    STEP(encode_from_arena),
    STEP(encode_rounding_upward),
    STEP(encode_cancelled),
    STEP(encode_nesting),
    STEP(segment_right),
    STEP(segment_no_mask),
    STEP(segment_no_prompt),
    STEP(segment_outside),
    STEP(segment_many_slices),
    STEP(segment_from_arena),
    STEP(segment_into_arena),
    STEP(segment_rounding_upward),
    STEP(segment_cancelled),
    STEP(segment_nesting),
    STEP(embedding_right),
    STEP(embedding_null),
    STEP(bank_first),
    STEP(bank_last),
    STEP(bank_wrong),
    STEP(weights_check),
    STEP(weights_check_no_segment),
    STEP(weights_check_into_arena),
    STEP(slice_right),
    STEP(slice_least),
    STEP(slice_most),
    STEP(slice_of_nothing),
    STEP(slice_into_arena),
    STEP(slice_damaged),
    STEP(self_test),
    STEP(self_test_rounding_upward),
    STEP(self_test_damaged),
    STEP(another_session),
    STEP(arena_written),
    STEP(session_flipped),
#if MSA_MODEL_CORES > 1
    STEP(team_right),
    STEP(team_none),
#else
    STEP(encode_while_another),
#endif
#if MSA_MODEL_STREAMED
    STEP(open_fetch_fails),
    STEP(encode_fetch_fails),
    STEP(segment_fetch_fails),
    STEP(self_test_fetch_fails),
    STEP(slice_fetch_fails),
#endif
};
enum { STEPS = sizeof steps / sizeof *steps };

/* Sessions as never opened, as opened, and with the first image. */
static struct {
    msa_session s;
    unsigned char *arena;
} start[3];

static void begin_at(int which)
{
    s = start[which].s;
    memcpy(arena, start[which].arena, MSA_MODEL_ARENA_BYTES);
    memset(&model, 0, sizeof model);
    model.state = which > 0;
    model.team = which > 0 && MSA_MODEL_CORES > 1;
    model.image = which == 2 ? 0 : -1;
}

static void keep_as(int which)
{
    start[which].s = s;
    start[which].arena = malloc(MSA_MODEL_ARENA_BYTES);
    memcpy(start[which].arena, arena, MSA_MODEL_ARENA_BYTES);
}

/* The right answers, each from a session of its own. */
static void prepare(void)
{
    for (size_t i = 0; i < sizeof pixels[0]; ++i) {
        pixels[0][i] = (uint8_t)(i * 7u % 251u);
        pixels[1][i] = (uint8_t)(255u - i * i / 64u % 256u);
    }
    memset(&s, 0xee, sizeof s);
    memset(arena, 0xff, MSA_MODEL_ARENA_BYTES);
    keep_as(0);
#if MSA_MODEL_CORES > 1
    must(msa_threads_start(&team, MSA_MODEL_CORES) == 0, "threads", 0, 0);
#endif
    for (int which = IMAGES - 1; which >= 0; --which) {
        for (uint32_t b = MSA_MODEL_BANKS; b-- > 0;) {
            const msa_image image = image_of(which);
            const msa_prompt prompt = a_prompt();
            msa_mask mask = {right[which][b].logits, right[which][b].iou, 0};
            must(open_with(arena, MSA_MODEL_ARENA_BYTES, MSA_MODEL_WEIGHTS_BYTES) == MSA_OK, "open", 0, 0);
#if MSA_MODEL_CORES > 1
            must(msa_set_team(&s, &team) == MSA_OK, "team", 0, 0);
#endif
            if (which == 0 && b == 0) {
                keep_as(1);
            }
            for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS; ++i) {
                must(msa_weights_check(&s, i, &sums[i]) == MSA_OK, "segment", (int)i, 0);
            }
            must(b == 0 || msa_select_bank(&s, b) == MSA_OK, "bank", 0, 0);
            must(msa_encode(&s, &image) == MSA_OK, "encode", 0, 0);
            must(msa_get_embedding(&s, right[which][b].embedding) == MSA_OK, "embedding", 0, 0);
            must(msa_segment(&s, &prompt, &mask) == MSA_OK, "segment", 0, 0);
            right[which][b].masks = mask.masks;
        }
    }
    keep_as(2);
    must(memcmp(right[0][0].logits, right[1][0].logits, sizeof right[0][0].logits) != 0,
         "the images have different answers", 0, 0);
}

static void play(const step *next)
{
    first = before;
    before = now;
    now = next->name;
    next->call();
}

/* Two calls, or three, from a start; then whatever is left answers as it should, and can be used again. */
static void sequence(int from, const step *a, const step *b, const step *c)
{
    static const step probe[] = {STEP(embedding_right), STEP(segment_right)};
    first = before = "";
    now = from == 0 ? "never opened" : from == 1 ? "open" : "encoded";
    begin_at(from);
    feclearexcept(FE_ALL_EXCEPT);
    play(a);
    play(b);
    if (c != NULL) {
        play(c);
    }
    play(&probe[0]);
    play(&probe[1]);
    /* A program that traps these runs on. */
    must(fetestexcept(FE_OVERFLOW | FE_DIVBYZERO | FE_INVALID) == 0, "no exception of the float unit",
         fetestexcept(FE_ALL_EXCEPT), 0);
}

/* All pairs of every n-th ones, from each start; then `triples` of three, chosen by a fixed sequence; then flipped bits
 * of the weights. Returns how many sequences.
 */
static unsigned all_sequences(unsigned every, unsigned triples, unsigned flips)
{
    unsigned count = 0, at = 0, random = 1;
    prepare();
    for (int from = 0; from < 3; ++from) {
        for (int a = 0; a < STEPS; ++a) {
            for (int b = 0; b < STEPS; ++b) {
                if (at++ % every == 0) {
                    sequence(from, &steps[a], &steps[b], NULL);
                    ++count;
                }
            }
        }
    }
    for (unsigned i = 0; i < triples; ++i) {
        const step *three[3];
        for (int k = 0; k < 3; ++k) {
            random = random * 1664525u + 1013904223u;
            three[k] = &steps[(random >> 8) % STEPS];
        }
        sequence((int)(i % 3u), three[0], three[1], three[2]);
        ++count;
    }
    flips_found(flips);
#if MSA_MODEL_CORES > 1
    msa_threads_end(&team);
#endif
    for (int i = 0; i < 3; ++i) {
        free(start[i].arena);
    }
    return count;
}

#endif

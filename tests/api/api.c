/* SPDX-License-Identifier: Apache-2.0 */
/* A caller of the generated C API that does everything wrong once, then right: every status as documented, results the
 * same each time.
 * usage: api WEIGHTS WIDTH HEIGHT PIXELS(raw RGB) */
#include "msa_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static unsigned layers, cancel_at;
static msa_phase expected_phase;
static msa_session s;

#define EXPECT(call, status) expect(#call, (call), (status), __LINE__)

static void expect(const char *what, msa_status got, msa_status want, int line)
{
    if (got != want) {
        printf("line %d: %s: expected %s, found %s\n", line, what, msa_status_text(want), msa_status_text(got));
        ++failures;
    }
}

static void check(int holds, const char *what)
{
    if (!holds) {
        printf("%s: does not hold\n", what);
        ++failures;
    }
}

/* Ours replaces the library's: counts, and cancels where told. */
int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    const uint32_t encoded = phase == MSA_PHASE_ENCODE ? MSA_MODEL_LAYERS_ENCODE : MSA_MODEL_LAYERS_DECODE;
    check(session == &s && phase == expected_phase && layer == layers % encoded,
        "msa_progress gets the session, the phase, and the layer's number in it");
    ++layers;
    return cancel_at && layers == cancel_at;
}

/* The two calls that have layers: what the hook is to see of them. */
static msa_status encode(const msa_image *image)
{
    layers = 0;
    expected_phase = MSA_PHASE_ENCODE;
    return msa_encode(&s, image);
}

static msa_status segment(const msa_prompt *prompt, msa_mask *mask)
{
    layers = 0;
    expected_phase = MSA_PHASE_DECODE;
    return msa_segment(&s, prompt, mask);
}

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(MSA_ALIGNMENT, (bytes + MSA_ALIGNMENT - 1) / MSA_ALIGNMENT * MSA_ALIGNMENT);
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return p;
}

static void *file(const char *path, size_t bytes)
{
    FILE *f = fopen(path, "rb");
    void *p = aligned(bytes);
    if (!f || fread(p, 1, bytes, f) != bytes || fgetc(f) != EOF) {
        fprintf(stderr, "%s: is not %lu bytes\n", path, (unsigned long)bytes);
        exit(2);
    }
    fclose(f);
    return p;
}

enum { SIDE = MSA_MODEL_MASK_SIDE, LOGITS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE * SIDE,
    IOUS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS };

static float logits[LOGITS], again[LOGITS], iou[IOUS];

static uint32_t random_state = 1;

static size_t below(size_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (size_t)((uint64_t)random_state * n >> 32);
}

static unsigned char *weights, *arena;
static msa_image image;
static float point[1][2];
static int8_t label[1] = {1};
static msa_prompt prompt = {(const float(*)[2])point, label, 1, NULL, NULL, true, 1, false, 0};
static msa_mask mask = {logits, iou, 0}, second = {again, iou, 0};

/* A bit flipped anywhere: before the segments the blob is refused at opening and after it, and in a segment that one is
 * named. */
static void damage(void)
{
    msa_segment_sum sums[MSA_MODEL_SEGMENTS];
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_OK);
    uint64_t next = 0;
    for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS; ++i) {
        EXPECT(msa_weights_check(&s, i, &sums[i]), MSA_OK);
        check(i == 0 || sums[i].offset == next, "segments follow each other");
        next = sums[i].offset + sums[i].bytes;
    }
    check(next == MSA_MODEL_WEIGHTS_BYTES, "segments reach to the end");
    EXPECT(msa_weights_check(&s, MSA_MODEL_SEGMENTS, NULL), MSA_E_ARGUMENT);
    for (size_t at = 0; at < sums[0].offset; ++at) {
        weights[at] ^= (unsigned char)(1u << at % 8);
        msa_session other;
        check(msa_weights_check(&s, 0, NULL) != MSA_OK && msa_self_test(&s) != MSA_OK
                  && msa_open(&other, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) != MSA_OK,
              "a bit before the segments is noticed");
        weights[at] ^= (unsigned char)(1u << at % 8);
    }
    for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS; ++i) {
        for (int n = 0; n < 4; ++n) {
            const size_t at = (size_t)sums[i].offset + below((size_t)sums[i].bytes), bit = below(8);
            msa_segment_sum sum;
            weights[at] ^= (unsigned char)(1u << bit);
            EXPECT(msa_weights_check(&s, i, &sum), MSA_E_CRC);
            check(sum.offset == sums[i].offset && sum.expected == sums[i].expected && sum.found != sum.expected,
                "the damaged segment is described");
            EXPECT(msa_weights_check(&s, (i + 1) % MSA_MODEL_SEGMENTS, NULL), MSA_OK);
            weights[at] ^= (unsigned char)(1u << bit);
        }
    }
}

/* A refused call leaves the mask as it was. */
static void refused(const msa_prompt *prompt, msa_status want)
{
    for (size_t i = 0; i < LOGITS; ++i)
        again[i] = 7.0f;
    msa_mask mask = {again, iou, 99};
    iou[0] = 7.0f;
    expect("msa_segment", segment(prompt, &mask), want, (int)want);
    int same = mask.masks == 99 && iou[0] == 7.0f;
    for (size_t i = 0; i < LOGITS; ++i)
        same = same && again[i] == 7.0f;
    check(same, "a refused msa_segment leaves the mask untouched");
}

/* Sessions that are not open, and what msa_open refuses. */
static void not_open(void)
{
    EXPECT(encode(&image), MSA_E_ARGUMENT);
    EXPECT(segment(&prompt, &mask), MSA_E_ARGUMENT);
    EXPECT(msa_self_test(&s), MSA_E_ARGUMENT);
    EXPECT(msa_open(NULL, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARGUMENT);
    EXPECT(msa_open(&s, NULL, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARGUMENT);
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, NULL, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARGUMENT);
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES - 1, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARENA);
    EXPECT(msa_open(&s, arena + 4, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ALIGNMENT);
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES - 64), MSA_E_SIZE);
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, 16), MSA_E_SIZE);
    weights[0] ^= 1;
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_FORMAT);
    weights[0] ^= 1;
}

/* An open session without an image, and images that are refused. */
static void no_image(void)
{
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_OK);
    EXPECT(segment(&prompt, &mask), MSA_E_ORDER);
    EXPECT(encode(NULL), MSA_E_ARGUMENT);
    msa_image odd = image;
    odd.width = 0;
    EXPECT(encode(&odd), MSA_E_IMAGE_SIZE);
    odd.width = MSA_MAX_SIDE + 1;
    EXPECT(encode(&odd), MSA_E_IMAGE_SIZE);
    odd = image;
    odd.stride = image.stride - 1;
    EXPECT(encode(&odd), MSA_E_IMAGE_STRIDE);
}

/* What is right gives a result. */
static void result(void)
{
    EXPECT(encode(&image), MSA_OK);
    check(layers == MSA_MODEL_LAYERS_ENCODE, "msa_progress is called for each layer of an encode");
    EXPECT(segment(&prompt, &mask), MSA_OK);
    check(layers == MSA_MODEL_DEPTH * MSA_MODEL_LAYERS_DECODE, "and for each of a decode, once a slice");
    check(mask.masks >= 1 && mask.masks <= MSA_MODEL_MASKS, "between one mask and MSA_MODEL_MASKS");
    int finite = 1;
    for (size_t i = 0; i < (size_t)MSA_MODEL_DEPTH * mask.masks * SIDE * SIDE; ++i)
        finite = finite && isfinite(logits[i]);
    check(finite, "logits are finite");
}

/* Prompts that are refused. */
static void wrong_prompts(void)
{
    msa_prompt wrong = prompt;
    wrong.point_count = MSA_MODEL_MAX_POINTS + 1;
    refused(&wrong, MSA_E_POINTS);
    wrong = prompt;
    wrong.with_text = true;
    wrong.text = MSA_MODEL_TEXTS;
    refused(&wrong, MSA_E_TEXT);
    wrong = prompt;
    wrong.slices = MSA_MODEL_DEPTH + 1;
    refused(&wrong, MSA_E_SLICES);
    point[0][0] = (float)image.width + 1;
    refused(&prompt, MSA_E_POINT);
    point[0][0] = (float)NAN;
    refused(&prompt, MSA_E_POINT);
    point[0][0] = (float)image.width / 2;
    label[0] = 2;
    refused(&prompt, MSA_E_LABEL);
    label[0] = 1;
    const float swapped[1][4] = {{10, 10, 5, 20}};
    wrong = prompt;
    wrong.box = swapped;
    refused(&wrong, MSA_E_BOX);
    static float nan_mask[SIDE * SIDE];
    nan_mask[SIDE] = (float)NAN;
    wrong = prompt;
    wrong.mask = nan_mask;
    refused(&wrong, MSA_E_MASK);
}

/* One encode serves many prompts, and errors in between change nothing. */
static void again_and_ended(void)
{
    EXPECT(segment(&prompt, &second), MSA_OK);
    check(second.masks == mask.masks
        && memcmp(logits, again, sizeof(float) * MSA_MODEL_DEPTH * mask.masks * SIDE * SIDE) == 0,
          "the same prompt gives the same bytes");

    /* A refused image is no image, and neither is the one before. */
    msa_image odd = image;
    odd.stride = image.stride - 1;
    EXPECT(encode(&odd), MSA_E_IMAGE_STRIDE);
    EXPECT(segment(&prompt, &mask), MSA_E_ORDER);
    EXPECT(encode(&image), MSA_OK);

    /* Cancelled: as after opening. */
    cancel_at = 3;
    EXPECT(encode(&image), MSA_E_CANCELLED);
    cancel_at = 0;
    EXPECT(segment(&prompt, &mask), MSA_E_ORDER);

    EXPECT(msa_self_test(&s), MSA_OK);
    EXPECT(segment(&prompt, &mask), MSA_E_ORDER);
    weights[MSA_MODEL_WEIGHTS_BYTES - 4096] ^= 1;
    EXPECT(msa_self_test(&s), MSA_E_CRC);
    weights[MSA_MODEL_WEIGHTS_BYTES - 4096] ^= 1;
}

/* An arena with anything in it gives the same result as a clean one. */
static void dirty_arena(void)
{
    memset(arena, 0xFF, MSA_MODEL_ARENA_BYTES);
    EXPECT(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_OK);
    EXPECT(encode(&image), MSA_OK);
    EXPECT(segment(&prompt, &second), MSA_OK);
    check(memcmp(logits, again, sizeof(float) * MSA_MODEL_DEPTH * mask.masks * SIDE * SIDE) == 0,
        "an arena full of NaN gives the same bytes");

    EXPECT(msa_weights_check(&s, 0, NULL), MSA_OK);
    EXPECT(msa_segment(&s, &prompt, &second), MSA_OK);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    weights = file(argv[1], MSA_MODEL_WEIGHTS_BYTES);
    const uint32_t width = (uint32_t)strtoul(argv[2], NULL, 10), height = (uint32_t)strtoul(argv[3], NULL, 10);
    unsigned char *pixels = file(argv[4], (size_t)3 * width * height);
    arena = aligned(MSA_MODEL_ARENA_BYTES + MSA_ALIGNMENT);
    image = msa_rgb(pixels, width, height);
    point[0][0] = (float)width / 2;
    point[0][1] = (float)height / 2;
    not_open();
    no_image();
    result();
    wrong_prompts();
    again_and_ended();
    dirty_arena();
    damage();
    free(arena);
    free(pixels);
    free(weights);
    return failures != 0;
}

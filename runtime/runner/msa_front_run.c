/* SPDX-License-Identifier: 0BSD */
/* msa_front_run.c - test bench of a front end alone, no part of a product: msa_front_run REQUEST RESPONSE WEIGHTS.
 * Without an operating system the weights are those linked, and no file is read.
 * REQUEST, little-endian: u32 frames, u32 lines at a time (0: whole frames), u32 repetitions, u32 0; the frames' lines,
 * MSA_FRONT_LINE_BYTES each.
 * RESPONSE: u32 status, u32 0; of the last frame the envelope and the grey levels, [lines][depth] floats each, where
 * the front end has them; of the picture u32 width, height, i32 x, y, and its pixels; for each repetition the seconds of a frame (double). */
#if defined(__unix__)
#define _POSIX_C_SOURCE 200112L
#endif
#include "msa_internal.h"
#include "msa_arith.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BARE (!__STDC_HOSTED__)

#if BARE
extern const unsigned char msa_weights[], msa_weights_end[];
#endif

#ifdef MSA_FRONT_DEPTH
#define LEVELS ((size_t)MSA_FRONT_LINES * MSA_FRONT_DEPTH)
#endif
#define FRAME_BYTES ((size_t)MSA_FRONT_LINES * MSA_FRONT_LINE_BYTES)

static FILE *request, *response;
static float *envelope;

static int fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return EXIT_FAILURE;
}

#ifdef MSA_FRONT_ENVELOPE_STEP
/* The batch's lines, of which those past the frame's are none. */
static void keep_envelope(const msa_session *s)
{
    const float *const from = (const float *)(const void *)(s->arena + MSA_FRONT_ENVELOPE_OFFSET);
    for (size_t l = 0; l < MSA_FRONT_LANES && s->lines + l < MSA_FRONT_LINES; ++l) {
        for (size_t i = 0; i < MSA_FRONT_DEPTH; ++i) {
            const float re = from[i * MSA_FRONT_ENVELOPE_STRIDE + l];
#if MSA_FRONT_ENVELOPE_COMPLEX
            const float im = from[i * MSA_FRONT_ENVELOPE_STRIDE + MSA_FRONT_LANES + l];
            envelope[(s->lines + l) * MSA_FRONT_DEPTH + i] = msa_sqrt(msa_fma(re, re, im * im));
#else
            envelope[(s->lines + l) * MSA_FRONT_DEPTH + i] = re;
#endif
        }
    }
}
#endif

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
#ifdef MSA_FRONT_ENVELOPE_STEP
    if (envelope != NULL && phase == MSA_PHASE_FRONT && layer == MSA_FRONT_ENVELOPE_STEP) {
        keep_envelope(session);
    }
#else
    (void)session;
    (void)phase;
    (void)layer;
#endif
    return 0;
}

/* 64-byte aligned. */
static void *room(size_t bytes)
{
    unsigned char *const p = (unsigned char *)malloc(bytes + MSA_ALIGNMENT);
    return p == NULL ? NULL : p + (MSA_ALIGNMENT - (uintptr_t)p % MSA_ALIGNMENT);
}

static const void *weights_of(const char *path)
{
#if BARE
    (void)path;
    return msa_weights_end - msa_weights == MSA_MODEL_WEIGHTS_BYTES ? msa_weights : NULL;
#else
    FILE *const file = fopen(path, "rb");
    void *const p = file == NULL ? NULL : room(MSA_MODEL_WEIGHTS_BYTES);
    const int all = p != NULL && fread(p, 1, MSA_MODEL_WEIGHTS_BYTES, file) == MSA_MODEL_WEIGHTS_BYTES;
    if (file != NULL) {
        fclose(file);
    }
    return all ? p : NULL;
#endif
}

static double seconds(void)
{
#if defined(__unix__) && !BARE
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#else
    return 0.0;
#endif
}

static int put(const void *from, size_t bytes)
{
    return fwrite(from, 1, bytes, response) == bytes;
}

static msa_status frame(msa_session *s, const unsigned char *lines, uint32_t at_a_time)
{
    msa_samples samples = {lines, MSA_FRONT_LINE_BYTES};
    if (at_a_time == 0) {
        return msa_frame(s, &samples);
    }
    msa_status status = MSA_OK;
    for (uint32_t l = 0; l < MSA_FRONT_LINES && status == MSA_OK; l += at_a_time) {
        const uint32_t left = MSA_FRONT_LINES - l;
        samples.lines = lines + (size_t)l * MSA_FRONT_LINE_BYTES;
        status = msa_lines_push(s, &samples, left < at_a_time ? left : at_a_time);
    }
    return status;
}

/* What the last frame gave. */
static int answer(msa_session *s)
{
    int well = 1;
#ifdef MSA_FRONT_ENVELOPE_STEP
    well = put(envelope, LEVELS * sizeof(float));
#endif
#ifdef MSA_FRONT_DEPTH
    float *const levels = (float *)room(LEVELS * sizeof(float));
    well = well && levels != NULL && msa_grey(s, levels) == MSA_OK && put(levels, LEVELS * sizeof(float));
#endif
#ifdef MSA_FRONT_WIDTH
    msa_picture shown = {0, 0, 0, 0};
    well = well && msa_picture_get(s, &shown) == MSA_OK && put(&shown, sizeof shown);
    const size_t pixels = (size_t)shown.width * shown.height * MSA_FRONT_CHANNELS;
    uint8_t *const picture = (uint8_t *)room(pixels);
    well = well && picture != NULL && msa_bmode(s, picture) == MSA_OK && put(picture, pixels);
#endif
    (void)s;
    return well;
}

static int perform(msa_session *s, const uint32_t head[4])
{
    unsigned char *const lines = (unsigned char *)room(FRAME_BYTES);
#ifdef MSA_FRONT_ENVELOPE_STEP
    float *const kept = (float *)room(LEVELS * sizeof(float));
    if (kept == NULL) {
        return fail("no memory for the envelope");
    }
    memset(kept, 0, LEVELS * sizeof(float));
    envelope = kept;
#endif
    if (lines == NULL) {
        return fail("no memory for a frame");
    }
    msa_status status = MSA_OK;
    for (uint32_t f = 0; f < head[0] && status == MSA_OK; ++f) {
        if (fread(lines, 1, FRAME_BYTES, request) != FRAME_BYTES) {
            return fail("the request ends early");
        }
        status = frame(s, lines, head[1]);
    }
    const uint32_t said[2] = {(uint32_t)status, 0};
    int well = put(said, sizeof said) && (status != MSA_OK || answer(s));
    envelope = NULL;
    for (uint32_t i = 0; status == MSA_OK && well && i < head[2]; ++i) {
        const double before = seconds();
        (void)frame(s, lines, head[1]);
        const double taken = seconds() - before;
        well = put(&taken, sizeof taken);
    }
    return well ? EXIT_SUCCESS : fail("the answer cannot be written");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return fail("usage: msa_front_run REQUEST RESPONSE WEIGHTS");
    }
    static msa_session session;
    const void *const weights = weights_of(argv[3]);
    void *const arena = room(MSA_MODEL_ARENA_BYTES);
    uint32_t head[4];
    request = fopen(argv[1], "rb");
    response = fopen(argv[2], "wb");
    if (weights == NULL || arena == NULL || request == NULL || response == NULL) {
        return fail(weights == NULL ? "the weights cannot be read" : "no files, or no memory for the arena");
    }
    if (fread(head, sizeof head, 1, request) != 1) {
        return fail("the request ends early");
    }
    const msa_status opened = msa_open(&session, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES);
    if (opened != MSA_OK) {
        return fail(msa_status_text(opened));
    }
    const int status = perform(&session, head);
    return fclose(response) == 0 ? status : fail("the answer cannot be written");
}

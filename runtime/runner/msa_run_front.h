/* SPDX-License-Identifier: 0BSD */
/* msa_run_front.h - what test benches do with a front end; no part of a product. Included behind msa_internal.h by the
 * one file of a bench that knows the model. */
#ifndef MSA_RUN_FRONT_H
#define MSA_RUN_FRONT_H

#include "msa_arith.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSA_RUN_FRAME_BYTES ((size_t)MSA_FRONT_LINES * MSA_FRONT_LINE_BYTES)

#ifdef MSA_FRONT_DEPTH
#define MSA_RUN_LEVELS ((size_t)MSA_FRONT_LINES * MSA_FRONT_DEPTH)
static float msa_run_levels[MSA_RUN_LEVELS];
#endif

#ifdef MSA_FRONT_ENVELOPE_STEP
static float msa_run_envelope[MSA_RUN_LEVELS];
#endif

/* For the hook: the envelope of the batch's lines, of which those past the frame's are none. */
static inline void msa_run_front_step(const msa_session *s, msa_phase phase, uint32_t step)
{
#ifdef MSA_FRONT_ENVELOPE_STEP
    const float *const from = (const float *)(const void *)(s->arena + MSA_FRONT_ENVELOPE_OFFSET);
    if (phase != MSA_PHASE_FRONT || step != MSA_FRONT_ENVELOPE_STEP) {
        return;
    }
    for (size_t l = 0; l < MSA_FRONT_LANES && s->lines + l < MSA_FRONT_LINES; ++l) {
        float *const to = msa_run_envelope + (s->lines + l) * MSA_FRONT_DEPTH;
        for (size_t i = 0; i < MSA_FRONT_DEPTH; ++i) {
            const float re = from[i * MSA_FRONT_ENVELOPE_STRIDE + l];
#if MSA_FRONT_ENVELOPE_COMPLEX
            const float im = from[i * MSA_FRONT_ENVELOPE_STRIDE + MSA_FRONT_LANES + l];
            to[i] = msa_sqrt(msa_fma(re, re, im * im));
#else
            to[i] = re;
#endif
        }
    }
#else
    (void)s;
    (void)phase;
    (void)step;
#endif
}

/* A frame, whole or so many lines at a time. */
static inline msa_status msa_run_frame(msa_session *s, const unsigned char *lines, uint32_t at_a_time)
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

/* What the last frame gave: envelope and grey levels, [lines][depth] floats each, where the front end has them; of the
 * picture u32 width, height, i32 x, y, and its pixels. */
static inline bool msa_run_put_frame(const msa_session *s, FILE *to)
{
    bool well = true;
#ifdef MSA_FRONT_ENVELOPE_STEP
    well = fwrite(msa_run_envelope, sizeof(float), MSA_RUN_LEVELS, to) == MSA_RUN_LEVELS;
#endif
#ifdef MSA_FRONT_DEPTH
    well = well && msa_grey(s, msa_run_levels) == MSA_OK
        && fwrite(msa_run_levels, sizeof(float), MSA_RUN_LEVELS, to) == MSA_RUN_LEVELS;
#endif
#ifdef MSA_FRONT_WIDTH
    msa_picture shown = {0, 0, 0, 0};
    well = well && msa_picture_get(s, &shown) == MSA_OK && fwrite(&shown, sizeof shown, 1, to) == 1;
    const size_t pixels = (size_t)shown.width * shown.height * MSA_FRONT_CHANNELS;
    uint8_t *const picture = (uint8_t *)malloc(pixels + 1u);
    well = well && picture != NULL && msa_bmode(s, picture) == MSA_OK && fwrite(picture, 1, pixels, to) == pixels;
    free(picture);
#endif
    (void)s;
    (void)to;
    return well;
}

#endif

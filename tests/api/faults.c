/* SPDX-License-Identifier: Apache-2.0 */
/* Single bits flipped in arena, weights and session, between calls and while one is under way: what a product would
 * notice. usage: faults WEIGHTS FLIPS SEED, for each place and moment so many flips, each in a process of its own. One
 * line for each of both: PLACE MOMENT FLIPS STATUS HARMLESS BITS MASK STOPPED LATER STATUS: a call says so. HARMLESS:
 * all results have the same bits. BITS: results differ, the mask does not. MASK: the mask differs and every call said
 * MSA_OK. STOPPED: the processor ended the program, or it hung. LATER: of BITS and MASK, those that a self-test after
 * the call finds. */
#define _POSIX_C_SOURCE 200809L
#include "msa_model.h"
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOGITS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE,
    IOUS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS,
    WIDTH = 200,
    HEIGHT = 150
};
enum place { ARENA, WEIGHTS, SESSION, PLACES };
enum moment { ENCODING, BETWEEN, SEGMENTING, MOMENTS };
enum outcome { STATUS, HARMLESS, BITS, MASK, BITS_LATER, MASK_LATER, OUTCOMES };

static const char *const place_names[] = {"arena", "weights", "session"};
static const char *const moment_names[] = {"encode", "between", "segment"};

static unsigned char *arena, *weights;
static msa_session s;
static uint8_t pixels[WIDTH * HEIGHT * 3];
static float logits[LOGITS], iou[IOUS], right_logits[LOGITS], right_iou[IOUS];
static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void flip(enum place place)
{
    unsigned char *const start = place == ARENA ? arena : place == WEIGHTS ? weights : (unsigned char *)&s;
    const size_t bytes = place == ARENA     ? (size_t)MSA_MODEL_ARENA_BYTES
                         : place == WEIGHTS ? (size_t)MSA_MODEL_WEIGHTS_BYTES
                                            : sizeof s;
    const uint64_t bit = next_random() % (bytes * 8u);
    start[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
}

/* The layer after which a bit is flipped; none: PHASES. */
static msa_phase flip_phase;
static uint32_t flip_layer = UINT32_MAX;
static enum place flip_place;

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    (void)session;
    if (phase == flip_phase && layer == flip_layer) {
        flip_layer = UINT32_MAX;
        flip(flip_place);
    }
    return 0;
}

static msa_status encode(void)
{
    const msa_image image = msa_rgb(pixels, WIDTH, HEIGHT);
    return msa_encode(&s, &image);
}

static msa_status segment(void)
{
    const float click[1][2] = {{90.0f, 70.0f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {click, label, 1, NULL, NULL, false, 1, false, 0};
    msa_mask mask = {logits, iou, 0};
    return msa_segment(&s, &prompt, &mask);
}

/* What one flip comes to. */
static enum outcome trial(enum place place, enum moment moment)
{
    const bool encoding = moment == ENCODING;
    flip_place = place;
    if (moment == BETWEEN) {
        flip(place);
    } else {
        flip_phase = encoding ? MSA_PHASE_ENCODE : MSA_PHASE_DECODE;
        flip_layer = (uint32_t)(next_random() % (encoding ? MSA_MODEL_LAYERS_ENCODE : MSA_MODEL_LAYERS_DECODE));
    }
    if ((encoding && encode() != MSA_OK) || segment() != MSA_OK) {
        return STATUS;
    }
    if (memcmp(logits, right_logits, sizeof logits) == 0 && memcmp(iou, right_iou, sizeof iou) == 0) {
        return HARMLESS;
    }
    bool mask = false;
    for (size_t i = 0; i < LOGITS; ++i) {
        mask = mask || (logits[i] > 0.0f) != (right_logits[i] > 0.0f);
    }
    const bool later = msa_self_test(&s) != MSA_OK;
    return mask ? (later ? MASK_LATER : MASK) : later ? BITS_LATER : BITS;
}

static void flips(enum place place, enum moment moment, unsigned count)
{
    unsigned of[OUTCOMES] = {0}, stopped = 0;
    for (unsigned i = 0; i < count; ++i) {
        (void)next_random();
        const pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit((int)trial(place, moment));
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child) {
            exit(2);
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) < OUTCOMES) {
            ++of[WEXITSTATUS(status)];
        } else {
            ++stopped;
        }
    }
    printf("%s %s %u %u %u %u %u %u %u\n", place_names[place], moment_names[moment], count, of[STATUS], of[HARMLESS],
           of[BITS] + of[BITS_LATER], of[MASK] + of[MASK_LATER], stopped, of[BITS_LATER] + of[MASK_LATER]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    must(argc == 4, "usage: faults WEIGHTS FLIPS SEED");
    weights = weights_of(argv[1]);
    arena = aligned(MSA_MODEL_ARENA_BYTES);
    memset(arena, 0, MSA_MODEL_ARENA_BYTES);
    state = strtoull(argv[3], NULL, 10) * 2u + 1u;
    /* A bright disc on noise: something to segment. */
    for (int y = 0; y < HEIGHT; ++y) {
        for (int x = 0; x < WIDTH; ++x) {
            const int inside = (x - 90) * (x - 90) + (y - 70) * (y - 70) < 45 * 45;
            for (int c = 0; c < 3; ++c) {
                pixels[(y * WIDTH + x) * 3 + c] = (uint8_t)((inside ? 150 : 40) + (int)(next_random() >> 40) % 50);
            }
        }
    }
    must(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) == MSA_OK && encode() == MSA_OK &&
             segment() == MSA_OK,
         "no result");
    memcpy(right_logits, logits, sizeof logits);
    memcpy(right_iou, iou, sizeof iou);
    for (int place = 0; place < PLACES; ++place) {
        for (int moment = 0; moment < MOMENTS; ++moment) {
            flips((enum place)place, (enum moment)moment, (unsigned)strtoul(argv[2], NULL, 10));
        }
    }
    free(arena);
    free(weights);
    return 0;
}

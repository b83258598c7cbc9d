/* SPDX-License-Identifier: 0BSD */
/* msa_coverage.h - what the parts of msa_coverage.c share. */
#ifndef MSA_COVERAGE_H
#define MSA_COVERAGE_H

#ifdef MSA_COVERAGE_TRAINING
#include "msa_coverage_training.h"
#else
#define COVER_TRAINING 0
#include "msa_internal.h"
#endif
#ifdef MSA_MODEL_PLACES
#include "msa_places.h"
#endif

#include <stdio.h>
#include <string.h>

/* A network that segments; none: a front end alone, or a training step. */
#if defined(MSA_MODEL_INPUT_SIZE) && !COVER_TRAINING
#define COVER_NETWORK 1
#else
#define COVER_NETWORK 0
#endif

/* What takes images and prompts. */
#define COVER_IMAGES (COVER_NETWORK || COVER_TRAINING)

#if MSA_COVERAGE_OWN_HOOKS
#define COVER_TEAM 0
#else
#define COVER_TEAM (MSA_MODEL_CORES > 1)
#endif

/* Whether a prompt may have a mask: a model of a fixed number of places takes none. */
#ifdef MSA_MODEL_PLACES
#define COVER_MASKS 0
#elif COVER_TRAINING
#define COVER_MASKS COVER_TRAINING_MASKS
#else
#define COVER_MASKS 1
#endif

#if COVER_IMAGES
enum {
    COVER_SIDE = MSA_MODEL_MASK_SIDE,
    COVER_LOGITS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS * COVER_SIDE * COVER_SIDE,
    COVER_IOUS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS,
    COVER_EMBEDDING = MSA_MODEL_DEPTH * MSA_MODEL_OUT * MSA_MODEL_GRID * MSA_MODEL_GRID,
    COVER_WIDTH = 40,
    COVER_HEIGHT = 30,
    COVER_PIXELS = COVER_WIDTH * COVER_HEIGHT * 6, /* three planes of bytes, or rows of 16 bits, of several slices */
    COVER_PLACES = MSA_MODEL_STREAMED ? 2 : 3
};
#endif

/* What a hook does at the end of layer `at` of `phase`. */
typedef enum cover_act {
    ACT_NONE,
    ACT_CANCEL,
    ACT_CALLS,      /* calls of the session under way */
    ACT_ROUND,      /* another rounding */
    ACT_STATE,      /* the session's state is another */
    ACT_BANK,       /* another word of it is */
    ACT_EMBEDDING,  /* a NaN in the embedding, at a place that is not sampled */
    ACT_LOGITS,     /* in the logits */
    ACT_IOU,        /* in the predicted IoU */
    ACT_KEPT,       /* what segmenting reads is another image's */
    ACT_SAMPLED,    /* a sampled word is another */
    ACT_CANARY      /* a line that guards the arena is another */
} cover_act;

typedef struct cover_all {
    unsigned calls, wrong;
    msa_session s;
#if COVER_TRAINING
    msa_train t;
#endif
    unsigned char *arena, *weights;
    msa_samples samples;       /* of a front end: a whole frame, its lines, and where its levels and picture go */
    uint8_t *lines, *shown;
    float *grey;
    uint8_t *pixels, *work;
    float *logits, *iou, *embedding;
    msa_image image;
    msa_prompt prompt;
    msa_mask mask;
    cover_act act;
    msa_phase phase;
    uint32_t at;
    bool change_in_sum; /* the session is changed by the next sum: what no call of another's can do */
    uint32_t fetches, fail_at; /* of streamed weights since this was 0; that one, from 1 on, fails: */
    bool fail_late;            /* not when it begins, but when it is waited for */
    bool no_cores;             /* of a team: there are none; another rounding before the work, or after a barrier */
    bool round_before, round_after;
} cover_all;

extern cover_all cover;

float cover_nan(void);

/* Of `got`, what it must be. */
#define COVER(got, want) cover_expect(#got, (uint32_t)(got), (uint32_t)(want), __FILE__, __LINE__)
void cover_expect(const char *what, uint32_t got, uint32_t want, const char *file, int line);

/* Memory, the weights, an image and a prompt; opened sessions, encoded images. */
void cover_begin(const char *path);
msa_status cover_open_anew(void);
void cover_opened(void);
const void *cover_given(void); /* what msa_open takes for weights: none where they are streamed */
void cover_encoded(void);
msa_status cover_compute(msa_session *s); /* a call that computes: an image's encode, or a front end's frame */
void *cover_memory(size_t bytes);

/* One call under test of an image and of a prompt; cover_segment: into cover.mask. */
msa_status cover_encode(const msa_image *image);
msa_status cover_segment(const msa_prompt *prompt);
msa_status cover_segment_into(const msa_prompt *prompt, msa_mask *mask);

/* The arena, the session and weights that are mapped, in each of which nothing may lie that a call writes; and in the
 * arena nothing that it reads. i is less than COVER_PLACES. */
void *cover_place(uint32_t i);

/* Calls of a session that is closed, or busy: each returns `want`, and disturbs nothing. */
void cover_refused(msa_session *s, msa_status want);

void cover_statuses(void);
void cover_sums(void);
void cover_open(void);
void cover_header(void);
void cover_environment(void);
void cover_images(void);
void cover_wrong_images(void);
void cover_overlapping_images(void);
void cover_formats(void);
void cover_sizes(void);
void cover_prompts(void);
void cover_wrong_prompts(void);
void cover_overlapping_prompts(void);
void cover_wrong_masks(void);
void cover_other_prompts(void);
void cover_overlaps(void);
void cover_hooks(void);
void cover_slices(void);
void cover_answers(void);
void cover_results(void);
void cover_resized(void);
void cover_fetches(void);
void cover_team(void);
void cover_library_hooks(void);

/* Of a front end: a bright disc as its frame; its calls, and the network's behind it; pictures of the eye's ground; and
 * tables of any bits, which are the last ones. */
void cover_disc(void);
void cover_front(void);
void cover_fundus(void);
void cover_front_tables(void);

/* Of a training step: its session; and its losses, optimiser and sums of gradients by themselves. */
void cover_training(void);
void cover_parts(void);

/* The segment table's own sum, and a segment's, made right again after a change. */
void cover_seal_table(void);
void cover_seal_segment(uint32_t segment);

#endif

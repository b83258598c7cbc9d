/* SPDX-License-Identifier: 0BSD */
/* msa_run.h - what the test bench's files share; no part of the product. Included first. */
#ifndef MSA_RUN_H
#define MSA_RUN_H

#if defined(__unix__) || defined(__linux__)
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64 /* streamed weights may be larger than the address space */
#define ON_POSIX 1
#else
#define ON_POSIX 0
#endif

/* Where there is no operating system the program has the weights in it, and hardly more memory than the model needs. */
#define BARE (!__STDC_HOSTED__)

#include "msa.h"
#include "msa_runtime.h"

#include <stdio.h>

/* A model's front end, where it has one (msa_run_front.h). */
struct msa_run_front {
    size_t frame_bytes;
    uint32_t channels;
    void (*step)(const msa_session *s, msa_phase phase, uint32_t step);
    msa_status (*frame)(msa_session *s, const unsigned char *lines, uint32_t at_a_time);
    int (*write_frame)(FILE *to);
    msa_status (*picture)(const msa_session *s, msa_picture *picture);
    msa_status (*bmode)(const msa_session *s, uint8_t *out);
    msa_status (*encode)(msa_session *s, const msa_samples *samples);
};

/* The model, as msa_model.h says: sizes and functions. Only msa_run_model.c includes that, so that all others are the
 * same objects whatever the model is. */
struct msa_run_model {
    const char *build, *arithmetic;
    size_t arena_bytes;
    uint64_t weights_bytes;
    uint32_t segments, input_size, depth, grid, out, masks, first_classes, mask_side, max_points;
    bool resize_longest, probabilities, mask_square, zero_inside;
    size_t resize_bytes; /* of work, for resize_begin */
    msa_status (*resize_begin)(const msa_image *image, uint32_t slice, uint32_t width, uint32_t height, void *work);
    void (*resize_row)(uint8_t *row);
    void (*enlarge_so)(msa_upsampler *enlarger); /* after msa_upsample_init */
    msa_status (*open)(msa_session *s, void *arena, size_t arena_bytes, const void *weights, size_t weights_bytes);
    msa_status (*encode)(msa_session *s, const msa_image *image);
    msa_status (*segment)(msa_session *s, const msa_prompt *prompt, msa_mask *mask);
    msa_status (*get_embedding)(const msa_session *s, float *out);
    msa_status (*select_bank)(msa_session *s, uint32_t bank);
    msa_status (*weights_check)(msa_session *s, uint32_t segment, msa_segment_sum *sum);
    msa_status (*self_test)(msa_session *s);
    const struct msa_run_front *front; /* or NULL */
};

extern const struct msa_run_model msa_run_model;

#define S msa_run_model.input_size
#define D msa_run_model.depth
#define SIDE msa_run_model.mask_side
#define SQUARE (msa_run_model.resize_longest || msa_run_model.mask_square ? S : 0u)

/* Floats of memory for an enlarger's rows; and whether one of its values belongs to the mask. */
#define ENLARGER_FLOATS (2u * (S > SIDE ? S : SIDE))
#define IN_MASK(value) \
    ((value) > (msa_run_model.probabilities ? 0.5f : 0.0f) || (msa_run_model.zero_inside && (value) == 0.0f))

enum msa_run_prompt_flags {
    WITH_BOX = 1,
    WITH_MASK = 2,
    MULTIMASK = 4,
    WITH_TEXT = 8,
    /* of clicks alone */
    FEEDBACK = 16,
    FIRST_AT_RANDOM = 32, /* the first click is anywhere inside the truth, as the seed decides */
    EMPTY_AT_RANDOM = 64  /* so is that of a slice with nothing inside, a click outside */
};

/* From this bit on: 0, or 1 + the number of the mask that is the result, whatever its predicted IoU. */
#define WANTED_MASK 8

/* All logits of a slice without a prompt. */
#define NOTHING (-1000.0f)

/* Memory in use, the latest first. */
struct msa_run_block {
    struct msa_run_block *next;
};

/* The run: one session, the image or the subvolume it has, and the latest prompt's result. */
struct msa_run {
    FILE *response;
    msa_session session;
    msa_image image; /* the subvolume */
    const uint8_t *volume;
    uint32_t slices, first_slice, kept, subvolumes; /* begun so far */
    bool encoded;
    bool from_samples; /* the image is the front end's picture */
    const unsigned char *lines; /* then the frame that it is of */
    uint32_t prompts; /* since the subvolume began */
    float *logits, *iou;
    msa_mask mask;
    uint32_t wanted; /* 0, or 1 + the number of the mask that is the result */
    bool progress; /* is shown */
    uint32_t layers; /* of the encoder, or 0 */
    struct msa_run_block *blocks;
};

extern struct msa_run msa_run;

/* ---- msa_run.c ---- */

/* Say why the run ends. Returns -1. */
int msa_run_fail(const char *format, ...);

/* Aligned memory that lasts until its release, or NULL and the failure is said. */
void *msa_run_allocate(size_t bytes);

/* Free what was allocated since `mark` was the latest. */
void msa_run_release(struct msa_run_block *mark);

/* A whole file, mapped where that is possible; kept to the end. NULL: the failure is said. */
const unsigned char *msa_run_load(const char *path, size_t *bytes);

/* 0, or -1 where there is none and the failure is said. An embedding is made of the image. */
int msa_run_need_image(void);
int msa_run_need_embedding(void);
int msa_run_need_result(void);

msa_status msa_run_encode(void);
void msa_run_progress_done(void);

/* The wanted mask, else that of highest predicted IoU; a mask's logits; the response's lines on the latest result,
 * always 0. */
uint32_t msa_run_best_mask(uint32_t slice);
int msa_run_want_mask(uint32_t flags, uint32_t masks); /* 0, or -1 where there is no such mask */
const float *msa_run_logits_of(uint32_t slice, uint32_t m);

/* Begin to bring a mask's logits, or their probabilities, to the image's size.   rows  ENLARGER_FLOATS of memory */
void msa_run_enlarge(msa_upsampler *enlarger, uint32_t slice, uint32_t m, float *rows);
int msa_run_report_prompt(void);

/* Masks of a result for a prompt with multimask or without. */
uint32_t msa_run_masks_of(bool multimask);

/* The PROMPT command's rest, to be read as long as those bytes are there. 0, or -1 and the failure is said. */
int msa_run_read_prompt(const unsigned char *p, size_t bytes, msa_prompt *prompt);

/* ---- msa_run_weights.c; 0, or -1 and the failure is said ---- */

/* The weights and their size; NULL where they are streamed. */
int msa_run_open_weights(const char *path, const unsigned char **weights, size_t *bytes);

/* Say what is wrong with weights that msa_open or msa_weights_check refused. Returns -1. */
int msa_run_refuse_weights(msa_status status);

/* The CRC of every segment; a damaged one is named by its number. */
int msa_run_check_weights(void);

/* At the end: the file is as it was at the start. */
int msa_run_weights_stay(void);

/* On a POSIX system: the open file. */
int msa_run_weights_file(void);

/* ---- msa_run_map.c, or msa_run_stream.c where weights are streamed ---- */

/* The weights that msa_open is given, of an open file that is called `name` in messages; their size, where it is not
 * known before. 0, or -1 and the failure is said. */
int msa_run_weights_at(const char *path, const char *name, const unsigned char **weights, uint64_t *size);

/* ---- msa_run_team.c, or msa_run_alone.c where there is one core ---- */

/* The session's other cores. 0, or -1 and the failure is said. */
int msa_run_team_start(msa_session *session);
void msa_run_team_end(void);

/* ---- msa_run_fetch.c ---- */

/* Without a POSIX system: the file that the hooks read, and its size. 0, or -1 and the failure is said. */
int msa_run_fetch_from(const char *path, size_t *bytes);

/* ---- msa_run_npy.c: commands that write files ---- */

int msa_run_embedding(const char *path);
int msa_run_logits(const char *path);
int msa_run_iou(const char *path);
int msa_run_put_logits(const char *path); /* what msa_run.logits has, as the command writes a prompt's */
int msa_run_put_masks(const char *path);
int msa_run_enlarged(const char *path, bool bytes); /* the best masks as bytes, or all logits, at the image's size */
int msa_run_resized(const char *path);

/* ---- msa_run_refine.c ---- */

int msa_run_refine(const unsigned char *p, size_t bytes); /* of the request; a zero byte follows */

/* ---- msa_run_propagate.c ---- */

int msa_run_propagate(const unsigned char *p, size_t bytes); /* of the request */

/* ---- msa_run_bench.c ---- */

int msa_run_bench(const unsigned char *p, size_t bytes);

/* The time of day; without an operating system the board's file has it. */
double msa_run_now_ms(void);

/* Also sorts them. */
double msa_run_median(double *values, uint32_t count);

/* Encode the image, or segment it under a click in its middle. */
msa_status msa_run_call(bool decode);

/* After such calls: the response's lines on their times, or the failure. */
int msa_run_report_times(msa_status status, double *encode_ms, double *decode_ms, uint32_t count);

/* ---- msa_run_profile.c ---- */

int msa_run_profile(const unsigned char *p, size_t bytes);

/* What a profile is measured with: the time that this thread had a core, where the system tells it; without a system
 * the core's own cycles, as so many of its nominal clock; or the time of day. */
double msa_run_clock_ms(void);

/* From msa_progress: a layer's last moment, and the next one's first. */
void msa_run_layer_ends(msa_phase phase, uint32_t layer);
void msa_run_layer_begins(void);

/* ---- msa_run_peak.c ---- */

/* 10^9 fused multiply-adds a second, 10^9 bytes read a second: the best of some tries. */
double msa_run_fma_gmacs(void);
double msa_run_read_gbytes(const void *memory, size_t bytes);

#endif

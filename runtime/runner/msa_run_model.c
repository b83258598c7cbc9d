/* SPDX-License-Identifier: 0BSD */
/* msa_run_model.c - what the test bench is told of the model: the one file of it that is not the same for all. */
#include "msa_run.h"

#include "msa_internal.h"
#ifdef MSA_FRONT_LINES
#include "msa_run_front.h"
#endif

/* The Makefile gives the hash of all sources: a runner of another folder is known by it. */
#ifndef MSA_RUN_BUILD
#define MSA_RUN_BUILD "unknown"
#endif

static MSA_RESIZER resizer;

static msa_status resize_begin(const msa_image *image, uint32_t slice, uint32_t width, uint32_t height, void *work)
{
    return MSA_RESIZER_INIT(&resizer, image, slice, width, height, work, MSA_RESIZER_BYTES);
}

static void resize_row(uint8_t *row)
{
    MSA_RESIZER_ROW(&resizer, row);
}

static void enlarge_so(msa_upsampler *enlarger)
{
    MSA_ENLARGE_SO(enlarger);
}

#ifdef MSA_FRONT_LINES
static int write_frame(FILE *to)
{
    return msa_run_put_frame(&msa_run.session, to) ? 0 : -1;
}

static const struct msa_run_front front = {
    .frame_bytes = MSA_RUN_FRAME_BYTES,
    .channels = MSA_FRONT_CHANNELS,
    .step = msa_run_front_step,
    .frame = msa_run_frame,
    .write_frame = write_frame,
    .picture = msa_picture_get,
    .bmode = msa_bmode,
    .encode = msa_encode_samples,
};
#endif

const struct msa_run_model msa_run_model = {
    .build = MSA_RUN_BUILD,
    .arithmetic = MSA_MODEL_ARITHMETIC,
    .arena_bytes = MSA_MODEL_ARENA_BYTES,
    .weights_bytes = MSA_MODEL_WEIGHTS_BYTES,
    .segments = MSA_MODEL_SEGMENTS,
    .input_size = MSA_MODEL_INPUT_SIZE,
    .depth = MSA_MODEL_DEPTH,
    .grid = MSA_MODEL_GRID,
    .out = MSA_MODEL_OUT,
    .masks = MSA_MODEL_MASKS,
    .first_classes = MSA_MODEL_FIRST_CLASSES,
    .mask_side = MSA_MODEL_MASK_SIDE,
    .max_points = MSA_MODEL_MAX_POINTS,
    .resize_longest = MSA_MODEL_RESIZE_LONGEST != 0,
    .zero_inside = MSA_MODEL_MASK_ZERO_INSIDE != 0,
    .mask_square = MSA_MODEL_MASK_SQUARE != 0,
    .probabilities = MSA_MODEL_MASK_PROBABILITIES != 0,
    .resize_bytes = MSA_RESIZER_BYTES,
    .resize_begin = resize_begin,
    .resize_row = resize_row,
    .enlarge_so = enlarge_so,
    .open = msa_open,
    .encode = msa_encode,
    .segment = msa_segment,
    .get_embedding = msa_get_embedding,
    .select_bank = msa_select_bank,
    .weights_check = msa_weights_check,
    .self_test = msa_self_test,
#ifdef MSA_FRONT_LINES
    .front = &front,
#endif
};

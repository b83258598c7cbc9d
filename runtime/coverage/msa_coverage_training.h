/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_training.h - a training step under the names that msa_coverage.c's shared parts have of a model. */
#ifndef MSA_COVERAGE_TRAINING_H
#define MSA_COVERAGE_TRAINING_H

#include "msa_gradient.h"
#include "msa_optimiser.h"
#include "msa_prompt_rows.h"
#include "msa_train_internal.h"

#define COVER_TRAINING 1

#define MSA_MODEL_ARENA_BYTES MSA_TRAIN_ARENA_BYTES
#define MSA_MODEL_WEIGHTS_BYTES MSA_TRAIN_WEIGHTS_BYTES
#define MSA_MODEL_ARITHMETIC MSA_TRAIN_ARITHMETIC
#define MSA_MODEL_HASH MSA_TRAIN_HASH
#define MSA_MODEL_SEGMENTS 1u
#define MSA_MODEL_STREAMED 0
#define MSA_MODEL_CORES MSA_TRAIN_CORES
#define MSA_MODEL_INPUT_SIZE MSA_TRAIN_INPUT_SIZE
#define MSA_MODEL_DEPTH MSA_TRAIN_DEPTH
#define MSA_MODEL_GRID MSA_TRAIN_GRID
#define MSA_MODEL_OUT MSA_TRAIN_OUT
#define MSA_MODEL_MASK_SIDE MSA_TRAIN_MASK_SIDE
#define MSA_MODEL_MASKS MSA_TRAIN_MASKS
#define MSA_MODEL_MAX_POINTS MSA_TRAIN_MAX_POINTS
#define MSA_MODEL_TEXTS (MSA_TRAIN_TEXT > 0 ? 1u : 0u)
#define MSA_MODEL_RESIZE_LONGEST 0

/* Where msagen says none (lua/report/instrumented.lua) the picture is interpolated in floats, or there is none. */
#ifndef MSA_RESIZER
#define MSA_RESIZER const msa_image *
#define MSA_RESIZER_INIT(resizer, image, slice, width, height, work, bytes) \
    (*(resizer) = (image), (slice) + (width) + (height) + (bytes) != 0 && (work) != NULL ? MSA_E_ARGUMENT : MSA_OK)
#define MSA_RESIZER_ROW(resizer, row) ((void)(resizer), (void)(row))
#define MSA_RESIZER_BYTES ((size_t)MSA_MODEL_INPUT_SIZE)
#endif

#if __has_include("msa_places.h")
#define MSA_MODEL_PLACES 1
#endif

#ifdef MSA_AT_MASK_PROMPT
#define COVER_TRAINING_MASKS 1
#else
#define COVER_TRAINING_MASKS 0
#endif

#endif

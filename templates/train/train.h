/* SPDX-License-Identifier: 0BSD */
/* msa_train.h - training of a Medical SAM Adapter: a step as functions of fixed shapes.
 * $(made_by)
$(origin) */
#ifndef MSA_TRAIN_H
#define MSA_TRAIN_H

#include "msa.h"
#include "msa_gradient.h"
#include "msa_loss.h"
#include "msa_optimiser.h"
@ if objective then
#include "msa_pretrain.h"
@ end

#ifdef __cplusplus
extern "C" {
#endif

#define MSA_TRAIN_INPUT_SIZE $(model.image_size)     /* pixels a side of the square that an image is resized to */
#define MSA_TRAIN_DEPTH $(model.depth)            /* slices of a volume */
#define MSA_TRAIN_GRID $(model.grid)            /* tokens a side */
@ if objective then
#define MSA_PRETRAIN_OBJECTIVE "$(objective_name)"
#define MSA_PRETRAIN_ROWS $(order.rows(prediction))          /* of a prediction */
#define MSA_PRETRAIN_WIDTH $(order.width(prediction))
#define MSA_PRETRAIN_PAIRS $(objective.pairs and 1 or 0)     /* 1: an image has a partner; the loss is of the batch */
#define MSA_PRETRAIN_INDEX $(rows.index or 0)       /* numbers of rows that a choice has, each below the limit */
#define MSA_PRETRAIN_INDEX_LIMIT $(picked_of.index or 0)
#define MSA_PRETRAIN_BACK $(rows.back or 0)
#define MSA_PRETRAIN_BACK_LIMIT $(picked_of.back or 0)
@ else
#define MSA_TRAIN_OUT $(model.out)            /* channels of the embedding */
#define MSA_TRAIN_MASK_SIDE $(4 * model.grid)       /* pixels a side of the logits */
#define MSA_TRAIN_MASKS $(model.decoder.masks)           /* mask tokens */
#define MSA_TRAIN_FIRST_CLASSES $(classes)   /* masks of every call; 0: one, or all but the first with multimask */
#define MSA_TRAIN_MAX_POINTS $(max_points)     /* points of a prompt; a box comes on top */
#define MSA_TRAIN_TEXT $(text_width)            /* numbers of a text's embedding; 0: prompts have no texts */
#define MSA_TRAIN_TOKENS $(token_rows)         /* rows of the decoder's token matrix */
#define MSA_TRAIN_TARGET_SIDE $(target_side)   /* pixels a side that a target may have at most */
@ end
#define MSA_TRAIN_BATCH $(batch)            /* images of a step at most */
#define MSA_TRAIN_CORES $(cores)
#define MSA_TRAIN_ARENA_BYTES $(memory.bytes)
#define MSA_TRAIN_WEIGHTS_BYTES $(blob.bytes)
#define MSA_TRAIN_TENSORS $(#trained.list)         /* that are trained */
#define MSA_TRAIN_ELEMENTS $(elements)     /* of them together */
@ if not objective then
#define MSA_TRAIN_IMAGES $(from == "image" and 1 or 0)           /* 1: msa_train_encode is there */
#define MSA_TRAIN_EMBEDDINGS $(not encodes and 1 or 0)       /* 1: msa_train_set_embedding, _get_ are there */
#define MSA_TRAIN_SCORES $(scores and 1 or 0)           /* 1: predicted IoU has gradients: MSA_LOSS_SAM */
$(macro("#define MSA_TRAIN_LOSS " .. loss_rule .. " /* of the network's program: an msa_loss_rule */"))
@ end
#define MSA_TRAIN_ARITHMETIC "$(arithmetic)"
#define MSA_TRAIN_BOARD "$(board.name)"

/* A training session. Two statuses of any call change nothing: MSA_E_ARGUMENT of a session that is not open, MSA_E_BUSY
 * of one whose call is under way: this call comes from a hook.
 * The caller's memory, one thread at a time (the team's other cores apart); fields are private. */
typedef struct msa_train {
    msa_session session;          /* whose team shares the work */
    uint32_t state;
    uint32_t images;              /* whose gradients are in the batch's */
    uint32_t held;                /* sums of images on the stack */
    uint32_t first, count;        /* masks of the last prompt */
    uint32_t slice, tokens, with_mask, work;
    uint32_t width, height;       /* of the encoded image */
    const msa_image *image;
@ if text_width > 0 then
    const float *text;            /* the embedding of what prompts with a text say, or NULL */
@ end
    msa_steps steps;
    const msa_optimiser *rule;    /* of the step that is under way */
    bool matrices_decay;
    double scale;
    float norm;
    msa_squares squares[MSA_TRAIN_CORES];
    msa_update constants;
@ if cores > 1 then
    msa_status begun;
@ end
} msa_train;

/* A tensor that is trained. */
typedef struct msa_parameter {
    const char *name;             /* of the checkpoint's network, as segment-anything has it */
    uint32_t dimensions;
    uint32_t shape[4];
    uint32_t rows, width;         /* rows lie apart */
    size_t at, stride;            /* floats */
} msa_parameter;

/* What there is a value of for each trained element. */
typedef enum msa_values {
    MSA_VALUES_PARAMETERS = 0,
    MSA_VALUES_GRADIENT = 1,      /* the sum over the images so far */
    MSA_VALUES_FIRST = 2,         /* the optimiser's moments */
    MSA_VALUES_SECOND = 3
} msa_values;

/* Open a session: parameters are the checkpoint's, moments 0.
 *   arena    MSA_TRAIN_ARENA_BYTES at least, 64-byte aligned; the caller's, outlives the session
 *   weights  msa_weights.bin, MSA_TRAIN_WEIGHTS_BYTES, 64-byte aligned; the caller's, only read
 * Returns MSA_OK, MSA_E_ARGUMENT, _ALIGNMENT, _ARENA, _OVERLAP, _ENVIRONMENT, _FLAGS, or what is wrong with the
 * weights. */
msa_status msa_train_open(msa_train *s, void *arena, size_t arena_bytes, const void *weights, size_t weights_bytes);

@ if cores > 1 then
/* The team that shares the work from here on, as an msa_threads. MSA_OK, MSA_E_ARGUMENT. */
msa_status msa_train_set_team(msa_train *s, void *team);

@ end
@ if from == "image" then
/* Encode an image, or a volume of MSA_TRAIN_DEPTH slices, which is resized to the square. Its gradient begins as 0.
 * The image must stay until msa_train_image_end.
 * Returns MSA_OK, MSA_E_ARGUMENT, _BATCH (there are MSA_TRAIN_BATCH images already), _IMAGE_SIZE, _IMAGE_STRIDE,
 * _OVERLAP, _ENVIRONMENT$(cores > 1 and ", _CORES" or "") or _CANCELLED: nothing is encoded then. */
msa_status msa_train_encode(msa_train *s, const msa_image *image);

@ end
@ if not encodes then
/* The same of an embedding that was kept: MSA_TRAIN_DEPTH * MSA_TRAIN_OUT * MSA_TRAIN_GRID^2 floats,
 * [depth][channel][row][column], as msa_get_embedding of an inference build gives it.
 *   width, height  of the image in pixels, 1 to MSA_MAX_SIDE: what prompts are in
 * MSA_OK, MSA_E_ARGUMENT, _BATCH, _OVERLAP, _IMAGE_SIZE, _NAN: a value is NaN, infinite, or 2^60 or more. */
msa_status msa_train_set_embedding(msa_train *s, const float *embedding, uint32_t width, uint32_t height);

/* Copy the embedding of what was encoded. MSA_OK, MSA_E_ARGUMENT, _ORDER, _OVERLAP. */
msa_status msa_train_get_embedding(const msa_train *s, float *out);
@ end
@ if text_width > 0 then
/* The text of the prompts that follow and have one (with_text, text 0): MSA_TRAIN_TEXT numbers, an embedding of length
 * 1; the caller's, which are there until the last such prompt is decoded. MSA_OK, MSA_E_ARGUMENT, MSA_E_OVERLAP. */
msa_status msa_train_text(msa_train *s, const float *embedding);

@ end
@ if objective then
/* What of an image is chosen at random. Fields that the objective has no use for may be NULL and 0. */
typedef struct msa_choice {
    const uint32_t *index;        /* [MSA_PRETRAIN_INDEX]: mae: the places kept; mae-grid: of each place its
                                   * own number, MSA_PRETRAIN_ROWS where removed; shed: the one it is taken from */
    const uint32_t *back;         /* [MSA_PRETRAIN_BACK]: mae: of each place its row among those that are kept, or their
                                   * number */
    const msa_image *partner;     /* emix: the image that is mixed in, by its share */
    float share, other;
} msa_choice;

/* Encode an image under a choice, forward.
 *   prediction  gets MSA_PRETRAIN_ROWS rows of MSA_PRETRAIN_WIDTH, or NULL
 * Returns MSA_OK, MSA_E_ARGUMENT, _BATCH, _IMAGE_SIZE, _IMAGE_STRIDE, _OVERLAP, _ENVIRONMENT or _CANCELLED: there is no
 * prediction then. */
msa_status msa_pretrain_encode(msa_train *s, const msa_image *image, const msa_choice *choice, float *prediction);

@   if objective.pairs then
/* The gradient of the last prediction, of msa_mixture_loss. MSA_OK, MSA_E_ORDER, MSA_E_ARGUMENT, MSA_E_OVERLAP. */
msa_status msa_pretrain_gradient(msa_train *s, const float *gradient);
@   else
/* The loss of the last prediction, and its gradient.
 *   marked  [MSA_PRETRAIN_ROWS], 1 of places that are removed or moved
 * MSA_OK, MSA_E_ORDER, MSA_E_ARGUMENT, MSA_E_OVERLAP, MSA_E_NAN. */
msa_status msa_pretrain_loss(msa_train *s, const uint8_t *marked, double *value);
@   end

@ else
/* Segment a slice of what was encoded.
 *   prompt  of this slice alone (prompt->slices is 1), in pixels of the encoded image
 *   mask    gets the logits and scores of the masks that the prompt asks for, with room for MSA_TRAIN_MASKS; or NULL
 * MSA_OK, MSA_E_ORDER where nothing is encoded, what is wrong with the prompt, MSA_E_OVERLAP; as before then.
 * MSA_E_ENVIRONMENT$(cores > 1 and ", _CORES" or "") or _CANCELLED: nothing is encoded any more. */
msa_status msa_train_decode(msa_train *s, const msa_prompt *prompt, uint32_t slice, msa_mask *mask);

/* The loss of the last msa_train_decode, and its gradient: that of what the decoder trains, and of the embedding, is
 * added to what earlier prompts of this image left.
 *   weight  a factor of this gradient, as 1 / slices
 * MSA_OK; MSA_E_ORDER without a decode since the last one, MSA_E_ARGUMENT, _TARGET, _NAN (of logits), _OVERLAP: as
 * before then. MSA_E_ENVIRONMENT$(cores > 1 and ", _CORES" or "") or _CANCELLED: nothing is encoded any more. */
msa_status msa_train_backward(msa_train *s, const msa_target *target, const msa_loss_rule *rule, double weight,
                              msa_loss *loss);

@ end
/* The gradient of what the encoder trains; then the image's gradient joins the batch's, and it is done with.
 * MSA_OK; MSA_E_ORDER where nothing is encoded; MSA_E_ENVIRONMENT$(cores > 1 and ", _CORES" or "") or _CANCELLED: the
 * image is left out. */
msa_status msa_train_image_end(msa_train *s);

/* One step of the optimiser with the mean over images; the batch is empty then.
 *   matrices_decay  only tensors of two and more dimensions decay
 *   images          of the whole batch, where others are part of it; 0: those of this session
 *   norm            gets the gradient's norm before clipping, or NULL
 * An image that has not ended is forgotten. MSA_OK; MSA_E_ORDER without any image, MSA_E_ARGUMENT, _OVERLAP,
 * _ENVIRONMENT$(cores > 1 and ", _CORES" or "") or _NAN (of the gradient): nothing has changed;
 * msa_train_set(s, MSA_VALUES_GRADIENT, NULL) forgets the images.
@ if cores > 1 then
 * MSA_E_ENVIRONMENT too if another core's float unit changes during the step: the parameters are to be set anew.
@ end
 */
msa_status msa_train_update(msa_train *s, const msa_optimiser *rule, bool matrices_decay, uint32_t images, float *norm);

@ if from == "image" then
/* A whole step: of each image its prompts, one after the other, each with its target; then the update.
 *   prompts, targets  [count] of the images; of a volume [count][MSA_TRAIN_DEPTH]
 *   loss              gets the mean of the values, or NULL
 * What the functions above return; images of a batch that was begun before are forgotten. */
typedef struct msa_train_batch {
    const msa_image *images;
    const msa_prompt *prompts;
    const msa_target *targets;
    uint32_t count;
} msa_train_batch;
msa_status msa_train_step(msa_train *s, const msa_train_batch *batch, const msa_loss_rule *rule,
                          const msa_optimiser *optimiser, bool matrices_decay, double *loss);

@ end
/* The trained tensors, in the order in which values are given. */
const msa_parameter *msa_train_parameters(void);

/* All values of a kind, MSA_TRAIN_ELEMENTS floats, tensor by tensor, each row by row. A gradient that is set is that of
 * all images so far, which count as one; set from NULL there is none. Setting forgets an image that has not ended; as
 * long as there is one the gradient cannot be told. MSA_OK, MSA_E_ARGUMENT, MSA_E_ORDER, MSA_E_OVERLAP; of a gradient
 * that is told MSA_E_ENVIRONMENT. */
msa_status msa_train_get(const msa_train *s, msa_values kind, float *out);
msa_status msa_train_set(msa_train *s, msa_values kind, const float *values);

/* Steps done: the optimiser goes on from there. MSA_OK, MSA_E_ARGUMENT, MSA_E_ENVIRONMENT. */
uint64_t msa_train_steps(const msa_train *s);
msa_status msa_train_set_steps(msa_train *s, const msa_optimiser *rule, uint64_t done);

#ifdef __cplusplus
}
#endif
#endif

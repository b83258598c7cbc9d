/* SPDX-License-Identifier: 0BSD */
/* msa_loss.h - the losses of training: what logits and predicted IoU of one image, or of one slice of a volume, are
 * worth against the target, and the gradient of that. docs/arithmetic.md defines every bit. */
#ifndef MSA_LOSS_H
#define MSA_LOSS_H

#include "msa.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef MSA_TRAIN_FLOAT64 /* of the workstation alone: the same in double, by which the rounding of float is measured */
typedef float msa_real;
#endif

typedef enum msa_loss_kind {
    MSA_LOSS_BCE = 0,    /* binary cross-entropy, mean over pixels and masks */
    MSA_LOSS_DICECE = 1, /* MONAI's: Dice loss with squares, mean over masks; with `binary` cross-entropy as well */
    MSA_LOSS_SAM = 2     /* Segment Anything's: focal, Dice and predicted IoU of the best mask */
} msa_loss_kind;

typedef struct msa_loss_rule {
    msa_loss_kind kind;
    double pos_weight;       /* MSA_LOSS_BCE: what a pixel of target 1 weighs, above 0 to 2^20 */
    bool binary;             /* MSA_LOSS_DICECE: binary cross-entropy is added (MONAI from 1.3 on) */
    double focal, dice, iou; /* MSA_LOSS_SAM: weights of the terms, 0 to 2^20; in the paper 20, 1, 1 */
} msa_loss_rule;

/* What the masks should be: [masks][side][side], bytes 0 or 1, or floats from 0 to 1. It may be empty. */
typedef struct msa_target {
    const uint8_t *bytes;    /* one of the two; the other is NULL */
    const float *shares;
    uint32_t masks;          /* 1: the same for all; else one for each mask that takes part */
    uint32_t side;           /* pixels, 1 to MSA_MAX_SIDE; the loss sees the logits at this size */
} msa_target;

typedef struct msa_loss_input {
    msa_loss_rule rule;
    msa_target target;
    uint32_t masks, side;    /* the logits are [masks][side][side]; 1 to 64 masks, side 1 to MSA_MAX_SIDE */
    uint32_t first, count;   /* masks that take part; the others' gradients are 0 */
    double weight;           /* of this image or slice, 0 to 2^20: a factor of the gradients, not of the value */
} msa_loss_input;

/* What a mask came to, each between its own bounds, without the rule's weights. */
typedef struct msa_loss_mask {
    double cross;            /* mean over pixels of the cross-entropy, or of the focal loss of MSA_LOSS_SAM */
    double dice;             /* Dice loss; 0 of MSA_LOSS_BCE */
    double iou;              /* of logits > 0 and target > 0; 0 where both are empty */
    double overlap, total;   /* the Dice loss is 1 - overlap / total */
} msa_loss_mask;

typedef struct msa_loss {
    double value;
    uint32_t chosen;         /* of MSA_LOSS_SAM the mask that is trained; else the first */
    const msa_loss_mask *masks; /* [count], in the work memory */
} msa_loss;

/* Bytes of work, which is 8-byte aligned: results of the masks; where each column lies; a row of pixels; a row of
 * gradients. */
#define MSA_LOSS_WORK_BYTES(side, target_side, count) (sizeof(msa_loss_mask) * (size_t)(count) \
    + (8u + 2u * sizeof(msa_real)) * (size_t)(target_side) + sizeof(msa_real) * (size_t)(side))

/* The loss, and its gradient by logits and predicted IoU.
 *   logits   [masks][side][side]
 *   iou      [masks], read by MSA_LOSS_SAM alone; else it may be NULL
 *   dlogits  [masks][side][side]; memory of its own
 *   diou     [masks], or NULL
 * Returns MSA_OK; MSA_E_ARGUMENT: something is NULL or out of its range; MSA_E_ARENA: work is short; MSA_E_TARGET: a
 * value of the target is none; MSA_E_NAN: logits or predicted IoU have NaN, infinity, or a magnitude of 2^60 or more.
 * On error the results are as they were. */
msa_status msa_loss_of(const msa_loss_input *in, const msa_real *logits, const msa_real *iou,
                       void *work, size_t work_bytes, msa_real *dlogits, msa_real *diou, msa_loss *loss);

/* Whether the compiler left the arithmetic as it is written. */
bool msa_loss_as_written(float one, float many, float zero);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of training in each class of arithmetic, and in double precision: losses, the optimiser, and the sums of
 * gradients over a batch. Elements are floats, or doubles where the class is float64; targets are floats or bytes. */
#ifndef MSAGEN_TRAINING_H
#define MSAGEN_TRAINING_H

#include "train/msa_gradient.h"
#include "train/msa_loss.h"
#include "train/msa_optimiser.h"
#include "train/msa_pretrain.h"

/* msa_trained of any class. */
struct msagen_trained {
    void *value;
    const void *gradient;
    void *first, *second;
    size_t count;
    int decays;
};

/* msa_reconstruction and msa_mixture of any class. */
struct msagen_reconstruction {
    const void *prediction;
    size_t stride;
    const void *patches;
    size_t patch_stride;
    const uint8_t *removed;
    uint32_t places, pixels;
};

struct msagen_mixture {
    const void *mixed, *plain;
    const double *shares;
    const uint32_t *partners;
    uint32_t batch, width;
    double temperature;
};

struct msagen_training {
    const char *arithmetic; /* the class */
    size_t bytes;           /* of an element */

    /* Bytes of work that a loss takes. */
    size_t (*loss_work)(uint32_t side, uint32_t target_side, uint32_t count);

    /* As msa_loss_of. */
    msa_status (*loss)(const msa_loss_input *in, const void *logits, const void *iou, void *work, size_t work_bytes,
        void *dlogits, void *diou, msa_loss *loss);

    /* As msa_optimise after `done` steps; MSA_E_ARENA: out of memory. */
    msa_status (*optimise)(const msa_optimiser *rule, uint64_t done, const struct msagen_trained *tensors, size_t count,
        double scale, double *norm);

    /* below (n) = below + top. */
    void (*add)(void *below, const void *top, size_t n);

    /* As msa_tree_merges, msa_tree_blocks, msa_tree_depth. */
    uint32_t (*merges)(uint32_t lo, msa_tree_block block);
    uint32_t (*blocks)(uint32_t lo, uint32_t hi, msa_tree_block blocks[MSA_TREE_BLOCKS]);
    uint32_t (*depth)(uint32_t lo, uint32_t hi);

    /* As msa_reconstruction_loss, msa_moved_loss, msa_mixture_loss. */
    msa_status (*reconstruction)(const struct msagen_reconstruction *in, void *gradient, double *value);
    msa_status (*moved)(const void *prediction, size_t stride, const uint8_t *moved, uint32_t places, void *gradient,
        double *value);
    msa_status (*mixture)(const struct msagen_mixture *in, void *work, void *dmixed, void *dplain, double *value);
};

extern const struct msagen_training msagen_training_fma;
extern const struct msagen_training msagen_training_muladd;
extern const struct msagen_training msagen_training_float64;

/* The one of that name, or NULL. */
const struct msagen_training *msagen_training_of(const char *arithmetic);

#endif

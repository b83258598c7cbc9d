/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of training in a class of arithmetic. Compiled once for each class: training_muladd.c and
 * training_float64.c include this file. */
#ifndef TRAINING
#define TRAINING_FIRST
#define TRAINING(name) name##_fma
#define TRAINING_CLASS "f32-fma-1"
#endif

/* The runtime's functions have a name for each class here. */
#define msa_loss_of TRAINING(msa_loss_of)
#define msa_loss_as_written TRAINING(msa_loss_as_written)
#define msa_tree_merges TRAINING(msa_tree_merges)
#define msa_tree_blocks TRAINING(msa_tree_blocks)
#define msa_tree_depth TRAINING(msa_tree_depth)
#define msa_gradient_add TRAINING(msa_gradient_add)
#define msa_gradient_join TRAINING(msa_gradient_join)
#define msa_gradient_finish TRAINING(msa_gradient_finish)
#define msa_steps_at TRAINING(msa_steps_at)
#define msa_squares_largest TRAINING(msa_squares_largest)
#define msa_squares_add TRAINING(msa_squares_add)
#define msa_squares_norm TRAINING(msa_squares_norm)
#define msa_update_begin TRAINING(msa_update_begin)
#define msa_update_tensor TRAINING(msa_update_tensor)
#define msa_optimise TRAINING(msa_optimise)
#define msa_optimiser_as_written TRAINING(msa_optimiser_as_written)
#define msa_reconstruction_loss TRAINING(msa_reconstruction_loss)
#define msa_moved_loss TRAINING(msa_moved_loss)
#define msa_mixture_loss TRAINING(msa_mixture_loss)
#define msa_pretrain_as_written TRAINING(msa_pretrain_as_written)

#include "training.h"

#include <stdlib.h>
#include <string.h>

#include "train/msa_gradient.c"
#include "train/msa_loss.c"
#include "train/msa_optimiser.c"
#include "train/msa_pretrain.c"

static size_t loss_work(uint32_t side, uint32_t target_side, uint32_t count)
{
    return MSA_LOSS_WORK_BYTES(side, target_side, count);
}

static msa_status loss_of(const msa_loss_input *in, const void *logits, const void *iou, void *work, size_t work_bytes,
    void *dlogits, void *diou, msa_loss *loss)
{
    return msa_loss_of(in, logits, iou, work, work_bytes, dlogits, diou, loss);
}

static msa_status optimise(const msa_optimiser *rule, uint64_t done, const struct msagen_trained *tensors, size_t count,
    double scale, double *norm)
{
    msa_trained *own = malloc((count > 0 ? count : 1) * sizeof *own);
    if (!own)
        return MSA_E_ARENA;
    for (size_t i = 0; i < count; ++i)
        own[i] = (msa_trained){tensors[i].value, tensors[i].gradient, tensors[i].first, tensors[i].second,
            tensors[i].count, tensors[i].decays != 0};
    msa_steps steps;
    msa_real found = 0;
    msa_steps_at(&steps, rule, done);
    const msa_status status = msa_optimise(rule, &steps, own, count, scale, &found);
    *norm = found;
    free(own);
    return status;
}

static void add(void *below, const void *top, size_t n)
{
    msa_gradient_add(below, top, n);
}

static msa_status reconstruction(const struct msagen_reconstruction *in, void *gradient, double *value)
{
    const msa_reconstruction own = {in->prediction, in->stride, in->patches, in->patch_stride, in->removed, in->places,
        in->pixels};
    return msa_reconstruction_loss(&own, gradient, value);
}

static msa_status moved(const void *prediction, size_t stride, const uint8_t *marks, uint32_t places, void *gradient,
    double *value)
{
    return msa_moved_loss(prediction, stride, marks, places, gradient, value);
}

static msa_status mixture(const struct msagen_mixture *in, void *work, void *dmixed, void *dplain, double *value)
{
    const msa_mixture own = {in->mixed, in->plain, in->shares, in->partners, in->batch, in->width, in->temperature};
    return msa_mixture_loss(&own, work, dmixed, dplain, value);
}

const struct msagen_training TRAINING(msagen_training) = {TRAINING_CLASS, sizeof(msa_real), loss_work, loss_of,
    optimise, add, msa_tree_merges, msa_tree_blocks, msa_tree_depth, reconstruction,
    moved, mixture};

#ifdef TRAINING_FIRST
const struct msagen_training *msagen_training_of(const char *arithmetic)
{
    const struct msagen_training *const classes[] = {&msagen_training_fma, &msagen_training_muladd,
        &msagen_training_float64};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; ++i)
        if (strcmp(classes[i]->arithmetic, arithmetic) == 0)
            return classes[i];
    return NULL;
}
#endif

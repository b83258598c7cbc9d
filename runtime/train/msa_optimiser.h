/* SPDX-License-Identifier: 0BSD */
/* msa_optimiser.h - Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019) as PyTorch has them, with clipping
 * to a global norm. docs/arithmetic.md defines every bit; none depends on how a tensor's elements are ordered, on the
 * order of tensors, or on how they are shared out. */
#ifndef MSA_OPTIMISER_H
#define MSA_OPTIMISER_H

#include "msa_loss.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum msa_optimiser_kind {
    MSA_ADAM = 0,            /* decay is added to the gradient */
    MSA_ADAMW = 1            /* decay shrinks the parameter before its step */
} msa_optimiser_kind;

typedef struct msa_optimiser {
    msa_optimiser_kind kind;
    double lr;               /* 0 to 1024 */
    double beta1, beta2;     /* 0 to below 1 */
    double eps;              /* 1e-30 to 1 */
    double decay;            /* 0 to 1024 */
    double clip;             /* norm of all gradients together, above 0; 0: none */
} msa_optimiser;

/* Steps done so far, and the betas' powers of that. */
typedef struct msa_steps {
    uint64_t done;
    double power1, power2;
} msa_steps;

/* One trained tensor, [count] each; no two have bytes in common. */
typedef struct msa_trained {
    msa_real *value;
    const msa_real *gradient;
    msa_real *first, *second; /* moments: 0 before the first step */
    size_t count;
    bool decays;
} msa_trained;

/* Sum of squares over any number of tensors; begins as all 0. */
typedef struct msa_squares {
    msa_real largest;        /* magnitude of an element; at most 2^126, which NaN and infinity count as */
    uint64_t high, low;      /* the sum, once `largest` is known: high 2^32 + low, in units that follow from it */
    double sum;              /* float64's */
} msa_squares;

/* Constants of one step. */
typedef struct msa_update {
    msa_real scale, shrink, decay, beta1, rest1, beta2, rest2, root2, eps, step, keep;
} msa_update;

/* Before the step after `done` ones, done of 0 for a new training. Relies on: betas are in their range. */
void msa_steps_at(msa_steps *steps, const msa_optimiser *rule, uint64_t done);

/* Two walks over all gradients: the largest first, then the squares. */
void msa_squares_largest(msa_squares *squares, const msa_real *gradient, size_t count);
void msa_squares_add(msa_squares *squares, const msa_real *gradient, size_t count);

/* The norm of what was added. */
msa_real msa_squares_norm(const msa_squares *squares);

/* The constants of the next step, which counts as done then.
 *   scale  factor of all gradients, above 0 to 1: 1 / images of the batch
 *   norm   of the gradients, scaled, before clipping; or NULL
 * Returns MSA_OK; MSA_E_ARGUMENT: a number of the rule is out of its range; MSA_E_NAN: a gradient has NaN or infinity,
 * or is 2^60 or more, whose square would be no float. On error nothing was changed. */
msa_status msa_update_begin(const msa_optimiser *rule, msa_steps *steps, double scale, const msa_squares *squares,
                            msa_update *update, msa_real *norm);

/* One tensor's step, or that of any part of it. */
void msa_update_tensor(const msa_update *update, const msa_trained *tensor);

/* All of it: one step of all tensors. As msa_update_begin. */
msa_status msa_optimise(const msa_optimiser *rule, msa_steps *steps, const msa_trained *tensors, size_t count,
                        double scale, msa_real *norm);

/* Whether the compiler left the arithmetic as it is written. */
bool msa_optimiser_as_written(float one, float many, float zero);

#ifdef __cplusplus
}
#endif
#endif

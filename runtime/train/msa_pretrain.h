/* SPDX-License-Identifier: 0BSD */
/* msa_pretrain.h - the losses of pre-training: what an encoder's head gives of one picture, or of all of a batch, is
 * worth, and the gradient of that. docs/arithmetic.md defines every bit. */
#ifndef MSA_PRETRAIN_H
#define MSA_PRETRAIN_H

#include "msa_loss.h"

#ifdef __cplusplus
extern "C" {
#endif

/* MAE (He et al. 2022): the pixels of patches that were removed, each patch to mean 0 and deviation 1. A picture's
 * patches lie colour by colour: [3][places] rows of `pixels`, the patch's, row by row. */
typedef struct msa_reconstruction {
    const msa_real *prediction; /* [places] rows of 3 pixels numbers: row, column, colour of the patch */
    size_t stride;              /* elements between them, and between the gradient's */
    const msa_real *patches;
    size_t patch_stride;        /* elements between rows of pixels */
    const uint8_t *removed;     /* [places], 1: the patch was removed; at least one */
    uint32_t places, pixels;    /* 1 to 2^20; 1 to 2^16 */
} msa_reconstruction;

/* The mean over removed patches of the mean over their pixels of the error's square.
 *   gradient  [places] rows as the prediction; 0 of patches that were kept
 * MSA_OK, MSA_E_ARGUMENT, or MSA_E_NAN: predictions have NaN, infinity, or a magnitude of 2^60 or more. */
msa_status msa_reconstruction_loss(const msa_reconstruction *in, msa_real *gradient, double *value);

/* ShED (Tamkin et al. 2021): of each place, whether its embedding was moved there from another one. The mean over
 * places of the cross-entropy.
 *   prediction, gradient  [places] rows of two numbers, stride elements apart: of not moved, of moved
 *   moved                 [places], 0 or 1
 * As above. */
msa_status msa_moved_loss(const msa_real *prediction, size_t stride, const uint8_t *moved, uint32_t places,
                          msa_real *gradient, double *value);

/* e-Mix (Tamkin et al. 2021): of each picture of a batch a mixture with its partner should be told from the features
 * of all pictures, by the share that each of the two has. */
typedef struct msa_mixture {
    const msa_real *mixed;      /* [batch][width], features of mixtures */
    const msa_real *plain;      /* [batch][width], of the pictures */
    const double *shares;       /* [batch], of a picture in its own mixture, 0 to 1 */
    const uint32_t *partners;   /* [batch], from 0 */
    uint32_t batch, width;      /* 1 to 2^16 each */
    double temperature;         /* above 0 to 2^20 */
} msa_mixture;

/* Elements of work. */
#define MSA_MIXTURE_WORK(batch, width) (2u * (size_t)(batch) * (size_t)(width) + 3u * (size_t)(batch))

/* The value is the mean over the batch; the gradients are those of the sum, which an update makes the mean of.
 *   dmixed, dplain  [batch][width], memory of their own
 * As above. */
msa_status msa_mixture_loss(const msa_mixture *in, msa_real *work, msa_real *dmixed, msa_real *dplain, double *value);

/* Whether the compiler left the arithmetic as it is written. */
bool msa_pretrain_as_written(float one, float many, float zero);

#ifdef __cplusplus
}
#endif
#endif

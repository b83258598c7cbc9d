/* SPDX-License-Identifier: Apache-2.0 */
/* How well one mask is another: overlap, distances of borders and of surfaces (docs/metrics.md has the definitions),
 * and what Medical SAM Adapter's own program reports. */
#ifndef MSAGEN_METRICS_H
#define MSAGEN_METRICS_H

#include <stddef.h>
#include <stdint.h>

/* The longest side of a mask, and the spacings that count. */
#define MSAGEN_METRICS_SIDE 65533
#define MSAGEN_METRICS_SPACING_LEAST 1e-6
#define MSAGEN_METRICS_SPACING_MOST 1e6

/* NaN: undefined. */
struct msagen_metrics {
    int64_t pred_pixels, truth_pixels, both_pixels, pred_border, truth_border;
    double dice, iou, dice_msa, iou_msa;
    double hd95_pooled, hd95_max, hd95_area, hd, assd; /* mm */
    double surface_dice, surface_dice_area;            /* at the tolerance */
};

/* Masks [..] in C order of 2 or 3 dimensions, none of them 0; non-zero is inside. spacing, tolerance: mm. 0, or -1: out
 * of memory. */
int msagen_metrics_compare(const uint8_t *pred, const uint8_t *truth, int dims, const int64_t *shape,
                           const double *spacing, double tolerance, struct msagen_metrics *m);

enum msagen_metrics_msa { MSAGEN_MSA_2023, MSAGEN_MSA_2025 };

/* IoU and Dice as Medical SAM Adapter's eval_seg says of a batch of `count` pictures: the mean of the thresholds 0.1,
 * 0.3, 0.5, 0.7, 0.9 on prediction and truth alike. 2023 puts them on logits, 2025 on their sigmoid. */
void msagen_metrics_msa(const float *logits, const float *truth, size_t count, size_t pixels,
                        enum msagen_metrics_msa version, double *iou, double *dice);

#endif

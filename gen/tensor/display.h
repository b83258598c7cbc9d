/* SPDX-License-Identifier: Apache-2.0 */
/* From stored numbers to grey levels: the modality and VOI transformations of DICOM PS3.3 C.11.1 and C.11.2, in double,
 * rounded once. */
#ifndef MSAGEN_DISPLAY_H
#define MSAGEN_DISPLAY_H

#include "tensor.h"

#include <stddef.h>
#include <stdint.h>

/* A lookup table: entry i stands for the value first + i; values below and above have the first and the last. */
struct msagen_table {
    const double *entries;
    size_t count; /* 0: there is none */
    double first;
};

/* Stored value to modality value: the table, else slope * x + intercept. */
struct msagen_modality {
    double slope, intercept;
    struct msagen_table table;
};

/* Modality value to grey. LINEAR with a width of at most 1 is a threshold, as is any function without a width. */
enum msagen_voi_kind {
    MSAGEN_VOI_RANGE, /* low to high */
    MSAGEN_VOI_LINEAR, MSAGEN_VOI_LINEAR_EXACT, MSAGEN_VOI_SIGMOID, /* centre and width */
    MSAGEN_VOI_TABLE /* entries 0 to most */
};

struct msagen_voi {
    enum msagen_voi_kind kind;
    double a, b; /* low and high, or centre and width */
    struct msagen_table table;
    double most;
    int inverted; /* MONOCHROME1: afterwards 0 is white */
};

double msagen_modality_of(const struct msagen_modality *m, double stored);

/* Grey 0 to 255 of a modality value, not rounded. */
double msagen_voi_of(const struct msagen_voi *voi, double x);

/* Elements [first, first + count) of t in C order, as bytes floor(y + 1/2). */
void msagen_display_grey(const struct msagen_tensor *t, int64_t first, int64_t count, const struct msagen_modality *m,
                         const struct msagen_voi *voi, unsigned char *out);

/* The same elements as modality values. */
void msagen_display_modality(const struct msagen_tensor *t, int64_t first, int64_t count,
                             const struct msagen_modality *m, double *out);

/* Widens [*low, *high] to the modality values of those whose stored value is not in [from, to]; returns how many those
 * are. from > to: all. */
int64_t msagen_display_range(const struct msagen_tensor *t, int64_t first, int64_t count,
                             const struct msagen_modality *m, double from, double to, double *low, double *high);

#endif

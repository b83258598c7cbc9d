/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of measured values (Hounsfield units, a scanner's signal) as the numbers and bytes that a network is given:
 * statistics over a whole volume, and a rule applied to each voxel. All in double, in C order, and never more of a
 * volume at a time than a few thousand values. Voxels that are not finite count in no statistic; NaN becomes 0. */
#ifndef MSAGEN_INTENSITY_H
#define MSAGEN_INTENSITY_H

#include "tensor.h"

/* Stored values, which mean slope * stored + intercept. */
struct msagen_volume {
    const struct msagen_tensor *stored;
    double slope, intercept;
};

/* Which voxels count. */
enum msagen_voxels { MSAGEN_VOXELS_ALL, MSAGEN_VOXELS_POSITIVE };

struct msagen_range {
    int64_t counted;       /* finite, and of those asked for */
    int64_t nans;          /* of all voxels */
    int64_t infinite;
    double low, high, mean; /* 0 where none counts */
};

/* ((clip(value, low, high) - from) / over + plus) * times; 0 for NaN, and for 0 with keep_zero; whole: truncated.
 * over is above 0. */
struct msagen_scaling {
    double low, high, from, over, plus, times;
    int keep_zero, whole;
};

/* Elements [first, first + count) in C order as values. */
void msagen_volume_read(const struct msagen_volume *volume, int64_t first, int64_t count, double *out);

/* One element by its place in storage, counted from the tensor's first. */
double msagen_volume_at(const struct msagen_volume *volume, int64_t place);

struct msagen_range msagen_intensity_range(const struct msagen_volume *volume, enum msagen_voxels voxels);

/* Standard deviation of all finite voxels about `mean`, divided by their number; 0 where there are none. */
double msagen_intensity_deviation(const struct msagen_volume *volume, double mean);

enum { MSAGEN_PERCENTILES = 2 };

/* Percentiles (0 to 100) with linear interpolation, as numpy.percentile gives them. Returns how many voxels counted (0:
 * out[] is untouched), or -1: out of memory. */
int64_t msagen_intensity_percentiles(const struct msagen_volume *volume, enum msagen_voxels voxels,
                                     const double percent[MSAGEN_PERCENTILES], double out[MSAGEN_PERCENTILES]);

/* The smallest box of a volume of three dimensions that has all voxels above a value, both as float. 0 where there are
 * none. */
int msagen_intensity_box(const struct msagen_volume *volume, float above, int64_t first[3], int64_t size[3]);

double msagen_scaled(const struct msagen_scaling *scaling, double value);

/* 255 v + 1/2 rounded down, for v in 0..1; `times` instead of 255. */
unsigned char msagen_scaled_byte(double value, double times);

#endif

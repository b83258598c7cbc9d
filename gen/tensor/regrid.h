/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes on another grid: a box of a volume, its axes turned, read at places that are an affine function of the new
 * grid's indices. */
#ifndef MSAGEN_REGRID_H
#define MSAGEN_REGRID_H

#include "intensity.h"

/* One axis of the box: an axis of the volume from `first` on, `size` elements; flipped: from there backwards. */
struct msagen_grid_axis {
    int axis;
    int64_t first, size;
    int flipped;
};

/* New voxel (a, b, c) lies at place[r][0] a + place[r][1] b + place[r][2] c + place[r][3] along the box's axis r,
 * counted in its elements and clamped to them. New voxels outside [inside_first, inside_first + inside_size) are 0. */
struct msagen_grid {
    int64_t shape[3];
    struct msagen_grid_axis box[3];
    double place[3][4];
    int64_t inside_first[3], inside_size[3];
};

/* What is made of the values: numbers f64 [a,b,c], or a picture u8 [a,b,c,3] of three equal channels, each byte
 * 255 v + 1/2 rounded down with `times` for 255. */
enum msagen_regrid_result { MSAGEN_REGRID_NUMBERS, MSAGEN_REGRID_PICTURE };

/* The values by the rule, and then between them: trilinear. grid NULL: the volume's own grid, of any shape. Returns a
 * new tensor, or NULL: out of memory. The caller has checked that the box lies within the volume. */
struct msagen_tensor *msagen_regrid(const struct msagen_volume *volume, const struct msagen_scaling *scaling,
                                    const struct msagen_grid *grid, enum msagen_regrid_result result, double times);

/* The nearest element's own bits, of two the even one; else as above. */
struct msagen_tensor *msagen_regrid_nearest(const struct msagen_tensor *t, const struct msagen_grid *grid);

#endif

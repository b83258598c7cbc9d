/* SPDX-License-Identifier: Apache-2.0 */
/* Exact Euclidean distances between the pixels of two sets on a grid. */
#ifndef MSAGEN_DISTANCES_H
#define MSAGEN_DISTANCES_H

#include <stddef.h>
#include <stdint.h>

/* The longest side of a grid. */
#define MSAGEN_DISTANCES_SIDE 65534

/* A grid in C order; sides of 1 for dimensions that there are not. A pixel's bits say in which sets it is. */
struct msagen_grid {
    const uint8_t *bits;
    size_t side[3];
    double spacing[3]; /* of the pixels along each side */
};

/* Of each pixel that has a bit of `from`, in C order, the distance to the nearest one that has a bit of `to`; infinite
 * where there is none. out: room for all. Takes two bytes a pixel meanwhile. 0, or -1: out of memory. */
int msagen_distances(const struct msagen_grid *grid, uint8_t from, uint8_t to, double *out);

#endif

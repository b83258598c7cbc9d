/* SPDX-License-Identifier: Apache-2.0 */
/* A mask's surface in pieces, one at each corner of pixels where inside and outside meet. */
#ifndef MSAGEN_SURFACE_H
#define MSAGEN_SURFACE_H

#include "distances.h"

struct msagen_surface {
    const uint8_t *masks;     /* of pixels */
    size_t side[3];           /* of those */
    int axes;                 /* bit k: axis k there is */
    uint8_t *bits;            /* of the grid, one larger along each axis that there is */
    struct msagen_grid grid;  /* of corners: a bit is set where a piece of that mask's surface is */
    double area[256];         /* by which of the pixels around a corner are inside */
};

/* masks: of each pixel the bits of the masks that it is in. Memory until the end: a byte a corner. 0, or -1: out of
 * memory. */
int msagen_surface_begin(struct msagen_surface *s, const uint8_t *masks, const size_t *side, int axes,
                         const double *spacing);
void msagen_surface_end(struct msagen_surface *s);

/* The pieces of the mask with that bit; their areas, of pictures lengths, in C order, each `step` numbers on. */
size_t msagen_surface_count(const struct msagen_surface *s, uint8_t mask);
void msagen_surface_areas(const struct msagen_surface *s, uint8_t mask, double *out, size_t step);

#endif

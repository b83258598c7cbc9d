/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a mask: how large it is, where it lies, and its outline as polygons. */
#ifndef MSAGEN_CONTOUR_H
#define MSAGEN_CONTOUR_H

#include <stddef.h>
#include <stdint.h>

/* A mask [slices][height][width], a pixel inside where it is not zero. */
struct msagen_extent {
    int64_t pixels;              /* inside */
    int64_t first[3], end[3];    /* of slice, row and column: first <= index < end; all 0 without a pixel */
    double centre[3];            /* the mean of the pixels' middles, index + 0.5 */
};

void msagen_extent_of(const unsigned char *mask, size_t slices, size_t height, size_t width,
                      struct msagen_extent *extent);

/* A closed polygon: `count` corners from points[first] on, the last joined to the first. Corners are corners of pixels,
 * (0, 0) to (width, height), at each of which the outline turns: nothing is simplified beyond that. Seen with y down an
 * outer one runs clockwise, a hole counter-clockwise. */
struct msagen_polygon {
    size_t first, count;
    int32_t region; /* from 0; pixels that share a side are one region, whose first polygon is its outer one */
    int hole;
};

struct msagen_contours {
    int32_t (*points)[2]; /* x, y */
    size_t point_count;
    struct msagen_polygon *polygons; /* those of a region beside each other, regions by their first pixel */
    size_t polygon_count;
};

/* Trace the outlines of a mask [height][width], at most 2^31 - 1 pixels. The areas of outer polygons less those of
 * holes add up to the number of pixels, and a point between corners is inside the mask where it is inside an odd number
 * of polygons. 0, or -1: out of memory. */
int msagen_contours_trace(const unsigned char *mask, size_t height, size_t width, struct msagen_contours *contours);

void msagen_contours_free(struct msagen_contours *contours);

#endif

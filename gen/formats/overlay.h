/* SPDX-License-Identifier: Apache-2.0 */
/* The picture for people: an image with a mask tinted and outlined, and the prompt that asked for it. */
#ifndef MSAGEN_OVERLAY_H
#define MSAGEN_OVERLAY_H

#include <stddef.h>

/* RGB pixels, drawn in place: a view of `stride` bytes a row. */
struct msagen_canvas {
    unsigned char *pixels;
    size_t width, height, stride;
};

struct msagen_overlay_style {
    unsigned char colour[3]; /* RGB */
    double opacity;          /* of the tint, 0 to 1 */
    int contour;             /* whether it is drawn */
};

/* Tint where mask [height][width] is not zero, and draw its contour. 0, or -1: out of memory. */
int msagen_overlay_mask(struct msagen_canvas *canvas, const unsigned char *mask,
                        const struct msagen_overlay_style *style);

/* The expert's mask: its outline in white dots. 0, or -1: out of memory. */
int msagen_overlay_truth(struct msagen_canvas *canvas, const unsigned char *mask);

/* A disc with a plus (label 1) or a minus (label 0) at (x, y) in pixels, edges of pixels being whole numbers. Clipped.
 */
void msagen_overlay_point(struct msagen_canvas *canvas, double x, double y, int label);

/* Smaller ones, one after the other, numbered from 1; numbers do not cover each other where there is room. 0, or -1:
 * out of memory. */
int msagen_overlay_clicks(struct msagen_canvas *canvas, const double (*points)[2], const int *labels, size_t count);

/* A number in the upper left corner: which slice this is. */
void msagen_overlay_number(struct msagen_canvas *canvas, size_t number);

/* The outline of a box. Clipped. */
void msagen_overlay_box(struct msagen_canvas *canvas, double x0, double y0, double x1, double y1);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* An expert's mask as whole numbers, a label for each pixel, and which labels there are. */
#ifndef MSAGEN_LABELS_H
#define MSAGEN_LABELS_H

#include "tensor.h"

/* What labels are: shades of grey, 0 to `most`; MSAGEN_LABEL_COLOUR + 65536 red + 256 green + blue; opacity, where all
 * pixels have one colour; or the numbers of an NPY file. Pixels that are rather transparent than opaque are 0 or black.
 */
enum msagen_label_kind { MSAGEN_LABELS_GREY, MSAGEN_LABELS_COLOUR, MSAGEN_LABELS_ALPHA, MSAGEN_LABELS_NUMBERS };

enum { MSAGEN_LABEL_COLOUR = 1 << 24, MSAGEN_LABELS_LISTED = 64, MSAGEN_LABELS_COUNTED = 4096 };

struct msagen_labels {
    enum msagen_label_kind kind;
    int most;  /* the largest that there may be: 255, 65535, or of numbers the largest that there is */
    int lossy; /* from JPEG: labels are near what was drawn */
    int flat;  /* somewhere nine pixels beside each other have one shade between black and white: an area, no edge */
    int orientation; /* EXIF's, by which the mask was turned; 1: as stored */
    int distinct;    /* labels in use; MSAGEN_LABELS_COUNTED stands for so many or more */
    int listed;      /* of them the most frequent */
    struct {
        int32_t label;
        int64_t count;
    } list[MSAGEN_LABELS_LISTED];
};

/* i32 [H,W] from a PNG or JPEG file, not trusted and turned as EXIF says. NULL and a text on failure. */
struct msagen_tensor *msagen_labels_parse(const unsigned char *data, size_t bytes, const char *name,
                                          struct msagen_labels *labels, char *error, size_t error_bytes);
struct msagen_tensor *msagen_labels_read(const char *path, struct msagen_labels *labels, char *error,
                                         size_t error_bytes);

/* i32 of the same shape from a tensor of whole numbers of any type. numbers: bytes too are numbers, not shades. */
struct msagen_tensor *msagen_labels_of(const struct msagen_tensor *t, int numbers, struct msagen_labels *labels,
                                       char *error, size_t error_bytes);

struct msagen_label_range {
    int32_t low, high;
};

/* u8 of the labels' shape (they are contiguous), 255 where a label lies in one of the ranges; *pixels: how many do.
 * NULL: out of memory. */
struct msagen_tensor *msagen_labels_inside(const struct msagen_tensor *labels, const struct msagen_label_range *ranges,
                                           size_t count, int64_t *pixels);

/* Of two u8 tensors of as many elements: those over 127 in both, and those of the one and of the other added up. */
void msagen_labels_overlap(const struct msagen_tensor *a, const struct msagen_tensor *b, int64_t *both, int64_t *sum);

#endif

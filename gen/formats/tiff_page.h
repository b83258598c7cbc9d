/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a TIFF file: what its tags say, and its pixels. */
#ifndef MSAGEN_TIFF_PAGE_H
#define MSAGEN_TIFF_PAGE_H

#include "tensor.h"

#include <stdint.h>
#include <tiffio.h>

/* What samples are and become. */
enum msagen_tiff_taking {
    MSAGEN_TIFF_NUMBERS, /* as they are stored */
    MSAGEN_TIFF_WIDER,   /* unsigned, in the next wider type with a sign */
    MSAGEN_TIFF_SHADES,  /* unsigned of 1 to 8 bits, as bytes from black to white */
    MSAGEN_TIFF_INDICES, /* of a palette */
    MSAGEN_TIFF_COLOURS  /* red, green and blue of 8 or 16 bits */
};

struct msagen_tiff_page {
    uint32_t width, height; /* as stored */
    unsigned bits, samples; /* of a pixel; those behind the first one or three are not taken */
    unsigned channels;      /* of what is made: 1 or 3 */
    enum msagen_dtype dtype;
    enum msagen_tiff_taking taking;
    int tiled, planar;
    int inverted, clear, orientation;
    double spacing[2];
    const uint16_t *palette[3];
};

/* Reads the tags of the directory that `tiff` is at. NULL, or what is wrong: "expected ..., found ...", in `text`. */
const char *msagen_tiff_describe(TIFF *tiff, struct msagen_tiff_page *page, char *text, size_t text_bytes);

/* Whether pages are slices of one volume. */
int msagen_tiff_alike(const struct msagen_tiff_page *a, const struct msagen_tiff_page *b);

/* The pixels [height][width][channels] as stored, elements of the page's dtype. 0; -1: damaged; -2: out of memory. */
int msagen_tiff_pixels(TIFF *tiff, const struct msagen_tiff_page *page, unsigned char *out);

#endif

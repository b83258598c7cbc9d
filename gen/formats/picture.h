/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG files as they are stored: samples of 8 or 16 bits, and what the file says about them. */
#ifndef MSAGEN_PICTURE_H
#define MSAGEN_PICTURE_H

#include <stddef.h>
#include <stdint.h>

enum { MSAGEN_IMAGE_SIDE = 16384 };

/* Palettes and grey of fewer than 8 bits are expanded to 8. */
struct msagen_picture {
    int jpeg;               /* values are near what was meant, not equal to it */
    uint32_t width, height; /* as stored */
    size_t channels;        /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha */
    size_t bytes;           /* a sample: 1, or 2 with the high byte first */
    int bits[4];            /* significant bits of each channel as the file tells them (sBIT), or 0 */
    int orientation;        /* EXIF's, 1 to 8; 0: not told; -1: told, but damaged */
    int animated;           /* there are more pictures in the file */
    unsigned char *samples; /* [height][width][channels] */
};

/* The bytes of a whole PNG or JPEG file, which are not trusted; at most 16384 a side, checked before memory is taken.
 * What is incomplete, damaged or of a kind that no 8- or 16-bit grey or RGB comes from is refused. `name` starts error
 * texts. 0, and the caller frees the picture; or -1 and a text. */
int msagen_picture_parse(struct msagen_picture *picture, const unsigned char *data, size_t bytes, const char *name,
                         char *error, size_t error_bytes);

void msagen_picture_free(struct msagen_picture *picture);

/* The picture as viewers show it: turned as EXIF says. Pixel (x, y) of width x height is number first + x * right + y *
 * down. */
struct msagen_view {
    uint32_t width, height;
    ptrdiff_t first, right, down;
};

struct msagen_view msagen_picture_view(const struct msagen_picture *picture);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* TIFF images, and stacks of them, as they are stored. */
#ifndef MSAGEN_TIFF_H
#define MSAGEN_TIFF_H

#include "tensor.h"

#include <stdint.h>

struct msagen_tiff {
    struct msagen_tensor *values; /* grey: [N,H,W], unsigned numbers of 9 to 16 bits as i32, of 32 as i64; colour: u8
                                   * [N,H,W,3] */
    int colour;
    int64_t pages;      /* in the file, without small copies and masks */
    int orientation;    /* the tag's, by which the pages were turned; 1: as stored */
    double spacing[2];  /* mm between rows, columns; 0: the file does not tell in inches or centimetres */
    int inverted;       /* white was stored as 0 */
    int clear;          /* there was transparency, which is not taken */
    int reduced;        /* colours of 16 bits: of each the upper 8 are kept */
};

/* The bytes of a whole file, which are not trusted. Pages are slices, of one size and type. Uncompressed, LZW, deflate,
 * PackBits, CCITT and JPEG; strips or tiles, planes or not, either byte order, classic or BigTIFF.
 *   page  only this one, from 0; -1: all
 * `name` starts error texts. 0, and the caller frees values; or -1 and a text. */
int msagen_tiff_parse(const unsigned char *data, size_t bytes, const char *name, int64_t page, struct msagen_tiff *out,
                      char *error, size_t error_bytes);

int msagen_tiff_read(const char *path, int64_t page, struct msagen_tiff *out, char *error, size_t error_bytes);

#endif

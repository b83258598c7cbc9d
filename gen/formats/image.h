/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG images as 8-bit RGB. */
#ifndef MSAGEN_IMAGE_H
#define MSAGEN_IMAGE_H

#include "picture.h"
#include "tensor.h"

#if defined __GNUC__
#define MSAGEN_IMAGE_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define MSAGEN_IMAGE_PRINTF(at, first)
#endif

/* What was done to an image beside decoding it. */
struct msagen_image_facts {
    int orientation;  /* EXIF's, by which the image was turned; 1: as stored */
    int grey;         /* the file has no colours */
    char notes[1024]; /* what a person should know, a line each, each ended by a newline */
};

/* The bytes of a whole PNG or JPEG file, which are not trusted -> u8 [H,W,3], turned as EXIF says, as viewers do. Grey
 * is repeated, palettes are expanded, colours are taken without their transparency. Of 16 bits the upper 8 are kept;
 * where the file tells fewer significant bits (sBIT) and has them as the lower ones, the upper 8 of those. bits
 * significant bits of 16-bit samples, whatever the file tells; 0: not told. Without, values that use less than a
 *          sixteenth of their range are refused
 *   facts  or NULL
 * `name` (the path) becomes the tensor's name and starts error texts. NULL and a text on failure. */
struct msagen_tensor *msagen_image_parse(const unsigned char *data, size_t bytes, const char *name, int bits,
                                         struct msagen_image_facts *facts, char *error, size_t error_bytes);

struct msagen_tensor *msagen_image_read(const char *path, int bits, struct msagen_image_facts *facts, char *error,
                                        size_t error_bytes);

/* The largest value of a u8 tensor. */
unsigned msagen_image_brightest(const struct msagen_tensor *t);

/* u8 or bool [H,W] (grey) or [H,W,3]; integers of other types [H,W], 0 to 65535, as 16 bits. 0, or -1 and a text, the
 * target untouched. */
int msagen_image_write_png(const char *path, const struct msagen_tensor *t, char *error, size_t error_bytes);

#endif

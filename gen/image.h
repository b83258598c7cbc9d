/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG images as 8-bit RGB. */
#ifndef MSAGEN_IMAGE_H
#define MSAGEN_IMAGE_H

#include "tensor.h"

enum { MSAGEN_IMAGE_SIDE = 16384 };

/* The bytes of a whole PNG or JPEG file, which are not trusted -> u8 [H,W,3]; at most 16384 a side, checked before memory is
 * taken. Alpha is dropped, grey repeated, palettes expanded, of 16 bits the upper 8 kept; CMYK and incomplete or damaged image
 * data are refused. `name` (the path) becomes the tensor's name and starts error texts. NULL and a text on failure. */
struct msagen_tensor *msagen_image_parse(const unsigned char *data, size_t bytes, const char *name, char *error,
                                         size_t error_bytes);

struct msagen_tensor *msagen_image_read(const char *path, char *error, size_t error_bytes);

/* u8 or bool [H,W] (grey) or [H,W,3]. 0, or -1 and a text, the target untouched. */
int msagen_image_write_png(const char *path, const struct msagen_tensor *t, char *error, size_t error_bytes);

#endif

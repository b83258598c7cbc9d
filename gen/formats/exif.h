/* SPDX-License-Identifier: Apache-2.0 */
/* EXIF: how a picture is to be turned before it is shown. */
#ifndef MSAGEN_EXIF_H
#define MSAGEN_EXIF_H

#include <stddef.h>

/* Bytes of the head "Exif\0?" that stands before EXIF data in JPEG, or 0: they do not begin so. */
size_t msagen_exif_head(const unsigned char *data, size_t bytes);

/* The orientation, 1 to 8, of EXIF data with or without that head, which are not trusted. 0: they tell none, or
 * 0, which cameras write for "not known". -1: they are damaged, or the number is none of EXIF's. */
int msagen_exif_orientation(const unsigned char *data, size_t bytes);

/* The same of EXIF data, with the head, as hexadecimal text: ImageMagick's "Raw profile type exif". */
int msagen_exif_raw_profile(const char *text, size_t length);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* EXIF: how a picture is to be turned before it is shown. */
#ifndef MSAGEN_EXIF_H
#define MSAGEN_EXIF_H

#include <stddef.h>

/* The orientation, 1 to 8, of EXIF data that begin with their TIFF header, and are not trusted. 0: they tell none, or
 * 0, which cameras write for "not known". -1: they are damaged, or the number is none of EXIF's. */
int msagen_exif_orientation(const unsigned char *data, size_t bytes);

#endif

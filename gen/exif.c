/* SPDX-License-Identifier: Apache-2.0 */
/* EXIF is a TIFF file without a picture: a header, then a directory of 12-byte entries. One entry of the first
 * directory is needed here, so nothing else is parsed: no offsets but the first, no thumbnails, no maker's notes. */
#include "exif.h"

#include <stdint.h>
#include <string.h>

enum { HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112, BYTE = 1, SHORT = 3, LONG = 4 };

struct tiff {
    const unsigned char *data;
    int big_endian;
};

static uint32_t number(const struct tiff *t, size_t at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i)
        value = value << 8 | t->data[at + (t->big_endian ? i : bytes - 1 - i)];
    return value;
}

static int orientation_of(const struct tiff *t, size_t entry)
{
    const uint32_t type = number(t, entry + 2, 2), count = number(t, entry + 4, 4);
    const size_t width = type == BYTE ? 1 : type == SHORT ? 2 : type == LONG ? 4 : 0;
    if (width == 0 || count != 1)
        return -1;
    const uint32_t value = number(t, entry + 8, width);
    return value <= 8 ? (int)value : -1;
}

int msagen_exif_orientation(const unsigned char *data, size_t bytes)
{
    if (bytes < HEADER || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return -1;
    const struct tiff t = {data, data[0] == 'M'};
    const size_t directory = number(&t, 4, 4);
    if (directory < HEADER || directory > bytes - 2)
        return -1;
    const size_t entries = number(&t, directory, 2), room = (bytes - directory - 2) / ENTRY;
    for (size_t i = 0; i < entries && i < room; ++i) {
        const size_t entry = directory + 2 + i * ENTRY;
        if (number(&t, entry, 2) == ORIENTATION)
            return orientation_of(&t, entry);
    }
    return entries > room ? -1 : 0;
}

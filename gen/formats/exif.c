/* SPDX-License-Identifier: Apache-2.0 */
/* EXIF is a TIFF file without a picture: a header, then a directory of 12-byte entries. One entry of the first
 * directory is needed here, so nothing else is parsed: no offsets but the first, no thumbnails, no maker's notes. */
#include "exif.h"

#include <stdint.h>
#include <stdlib.h>
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

size_t msagen_exif_head(const unsigned char *data, size_t bytes)
{
    return bytes >= 6 && memcmp(data, "Exif", 5) == 0 ? 6 : 0;
}

int msagen_exif_orientation(const unsigned char *data, size_t bytes)
{
    const size_t head = msagen_exif_head(data, bytes);
    data += head;
    bytes -= head;
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

static int hexadecimal(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

int msagen_exif_raw_profile(const char *text, size_t length)
{
    /* A line with the kind, a line with the number of bytes, which the digits tell too, then the digits. */
    size_t at = 0, bytes = 0;
    while (at < length && text[at] == '\n')
        ++at;
    for (int line = 0; line < 2; ++line) {
        while (at < length && text[at] != '\n')
            ++at;
        at += at < length;
    }
    unsigned char *data = malloc(length / 2 + 1);
    if (!data)
        return -1;
    int high = -1;
    for (; at < length; ++at) {
        const int digit = hexadecimal(text[at]);
        if (digit < 0)
            continue;
        if (high >= 0)
            data[bytes++] = (unsigned char)(high << 4 | digit);
        high = high >= 0 ? -1 : digit;
    }
    /* An APP1 marker may also be XMP. */
    const int orientation = msagen_exif_head(data, bytes) ? msagen_exif_orientation(data, bytes) : 0;
    free(data);
    return orientation;
}

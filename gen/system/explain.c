/* SPDX-License-Identifier: Apache-2.0 */
/* explain.c - error texts of one line, written into the caller's buffer. */
#include "explain.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

void msagen_one_line(char *text)
{
    for (; *text; ++text)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

bool msagen_explain(char *error, size_t size, const char *format, ...)
{
    if (size == 0)
        return false;
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(error, size, format, arguments) < 0)
        error[0] = '\0';
    va_end(arguments);
    msagen_one_line(error);
    return false;
}

int msagen_clip(size_t bytes)
{
    return bytes < 160 ? (int)bytes : 160;
}

bool msagen_is_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        const unsigned char lead = (unsigned char)text[i++];
        if (lead < 0x20 || lead == 0x7f)
            return false;
        if (lead < 0x80)
            continue;
        const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        static const uint32_t smallest[4] = {0, 0x80, 0x800, 0x10000};
        if (lead < 0xc2 || lead > 0xf4 || size - i < (size_t)more)
            return false;
        uint32_t point = lead & (0x3fu >> more);
        for (int k = 0; k < more; ++k) {
            const unsigned char next = (unsigned char)text[i++];
            if ((next & 0xc0) != 0x80)
                return false;
            point = point << 6 | (next & 0x3fu);
        }
        if (point < smallest[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
    }
    return true;
}

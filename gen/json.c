/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - JSON texts through jansson, with one-line errors. */
#include "json.h"

#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *msagen_json_parse(const char *text, size_t bytes, char *error, size_t error_size)
{
    if (bytes > MSAGEN_JSON_MAX_BYTES) {
        msagen_explain(error, error_size, "%zu bytes of JSON; expected at most %zu", bytes, MSAGEN_JSON_MAX_BYTES);
        return NULL;
    }
    json_error_t why;
    json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!value)
        msagen_explain(error, error_size, "line %d, column %d: %s", why.line, why.column, why.text);
    return value;
}

void msagen_json_real(double value, char text[MSAGEN_JSON_REAL_BYTES])
{
    for (int digits = 1; digits <= 17; ++digits) {
        snprintf(text, MSAGEN_JSON_REAL_BYTES - 2, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    for (char *c = text; *c; ++c)   /* a locale's decimal point */
        if (*c == ',')
            *c = '.';
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
}

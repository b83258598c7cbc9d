/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - JSON texts through jansson, with one-line errors. */
#include "json.h"

#include "explain.h"

#include <stdio.h>
#include <stdlib.h>

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

int msagen_json_digits(double value)
{
    enum { ENOUGH = 17 };
    char text[40];
    for (int digits = 1; digits < ENOUGH; ++digits) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return digits;
    }
    return ENOUGH;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - JSON texts through jansson, with one-line errors. */
#ifndef MSAGEN_JSON_H
#define MSAGEN_JSON_H

#include <jansson.h>
#include <stddef.h>

#define MSAGEN_JSON_MAX_BYTES ((size_t)16 << 20)

/* Parse one JSON value, any kind. Refused: a key that occurs twice, bytes after the value, invalid UTF-8, integers
 * beyond 64 bits, NUL characters, texts beyond MSAGEN_JSON_MAX_BYTES, nesting beyond jansson's limit. NULL and
 * "line 3, column 5: ..." in error. */
json_t *msagen_json_parse(const char *text, size_t bytes, char *error, size_t error_size);

/* The least digits, for JSON_REAL_PRECISION, with which a finite value reads back as the same double. */
int msagen_json_digits(double value);

#endif

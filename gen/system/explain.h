/* SPDX-License-Identifier: Apache-2.0 */
/* explain.h - error texts of one line, written into the caller's buffer. */
#ifndef MSAGEN_EXPLAIN_H
#define MSAGEN_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#define MSAGEN_ERROR_BYTES 1024

/* Write a text into error (size bytes; cut to fit, always terminated). Control characters, which hostile names may
 * hold, become '?': the text stays one line. Returns false, for `return msagen_explain(...)`. */
bool msagen_explain(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Replace control characters of a string by '?'. */
void msagen_one_line(char *text);

/* Bytes of a text worth printing in an error, as the int that "%.*s" wants. */
int msagen_clip(size_t bytes);

/* Whether size bytes are UTF-8 (no surrogates, no overlong forms) without control characters. */
bool msagen_is_text(const char *text, size_t size);

#endif

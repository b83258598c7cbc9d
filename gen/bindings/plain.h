/* SPDX-License-Identifier: Apache-2.0 */
/* Plain data between two Lua states, as bytes: texts, numbers, true, false, and tables of those. */
#ifndef MSAGEN_PLAIN_H
#define MSAGEN_PLAIN_H

#include <lua.h>
#include <stddef.h>

struct msagen_plain {
    unsigned char *data; /* free() it */
    size_t bytes, room;
};

/* What may be encoded at most; `finite`: no NaN and no infinity. */
struct msagen_plain_limits {
    size_t bytes;
    int finite;
};

/* Appends the value at `index`; metatables are ignored. 0; or -1 and a text that names the field within the value, what
 * was expected and what was found, such as "memories[2].bytes: expected ..., found a function". Needs memory but for
 * Lua's. */
int msagen_plain_encode(lua_State *L, int index, const struct msagen_plain_limits *limits, struct msagen_plain *out,
    char *error,
                        size_t error_bytes);

/* Pushes the value. 0, or -1 where the bytes are no encoding. Raises Lua's error when memory runs out. */
int msagen_plain_decode(lua_State *L, const unsigned char *data, size_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Plain data between two Lua states, as bytes: a letter for the kind, then the value; a table is its pairs up to an
 * 'e'. */
#include "plain.h"

#include "explain.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32, PATH = 240, MOST_ENTRIES = 200000 };

struct encoder {
    lua_State *L;
    const struct msagen_plain_limits *limits;
    struct msagen_plain *out;
    long entries;
    char path[PATH]; /* of the value within the whole, for messages */
    size_t path_bytes;
    char *error;
    size_t error_bytes;
};

static int refuse(struct encoder *e, const char *expected, const char *found)
{
    msagen_explain(e->error, e->error_bytes, "%s%sexpected %s, found %s", e->path, e->path_bytes ? ": " : "", expected,
        found);
    return -1;
}

static int append(struct encoder *e, const void *data, size_t bytes)
{
    struct msagen_plain *out = e->out;
    if (bytes > e->limits->bytes || out->bytes > e->limits->bytes - bytes) {
        char expected[64];
        snprintf(expected, sizeof expected, "a result of at most %zu MiB", e->limits->bytes >> 20);
        return refuse(e, expected, "more");
    }
    if (out->room - out->bytes < bytes) {
        const size_t room = (out->bytes + bytes) * 2;
        unsigned char *larger = realloc(out->data, room);
        if (!larger)
            return refuse(e, "memory for the result", "none");
        out->data = larger;
        out->room = room;
    }
    memcpy(out->data + out->bytes, data, bytes);
    out->bytes += bytes;
    return 0;
}

static int append_tagged(struct encoder *e, char tag, const void *data, size_t bytes)
{
    return append(e, &tag, 1) != 0 || append(e, data, bytes) != 0 ? -1 : 0;
}

static int encode_string(struct encoder *e, int index)
{
    size_t length;
    const char *text = lua_tolstring(e->L, index, &length);
    const uint64_t bytes = length;
    return append_tagged(e, 's', &bytes, sizeof bytes) != 0 || append(e, text, length) != 0 ? -1 : 0;
}

static int encode_number(struct encoder *e, int index)
{
    if (lua_isinteger(e->L, index)) {
        const lua_Integer i = lua_tointeger(e->L, index);
        return append_tagged(e, 'i', &i, sizeof i);
    }
    const lua_Number f = lua_tonumber(e->L, index);
    if (e->limits->finite && !isfinite(f))
        return refuse(e, "a finite number", isnan(f) ? "NaN" : f > 0 ? "infinity" : "-infinity");
    return append_tagged(e, 'f', &f, sizeof f);
}

/* Adds a key to the path: ".name" or "[7]"; returns how long the path was. */
static size_t enter(struct encoder *e, int key)
{
    const size_t before = e->path_bytes;
    int n;
    if (lua_type(e->L, key) == LUA_TSTRING)
        n = snprintf(e->path + before, PATH - before, "%s%.60s", before ? "." : "", lua_tostring(e->L, key));
    else if (lua_isinteger(e->L, key))
        n = snprintf(e->path + before, PATH - before, "[%lld]", (long long)lua_tointeger(e->L, key));
    else
        n = snprintf(e->path + before, PATH - before, "[%g]", (double)lua_tonumber(e->L, key));
    if (n > 0)
        e->path_bytes = before + (size_t)n < PATH ? before + (size_t)n : PATH - 1;
    return before;
}

static int encode_value(struct encoder *e, int index, int depth);

static int encode_table(struct encoder *e, int index, int depth)
{
    lua_State *L = e->L;
    if (depth == DEPTH)
        return refuse(e, "tables at most 32 deep", "one that is deeper, or within itself");
    if (!lua_checkstack(L, 4))
        return refuse(e, "memory for the result", "none");
    if (append(e, "t", 1) != 0)
        return -1;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const int key = lua_gettop(L) - 1, kind = lua_type(L, key);
        if (++e->entries > MOST_ENTRIES)
            return refuse(e, "a result of at most 200000 values", "more");
        if (kind != LUA_TSTRING && kind != LUA_TNUMBER)
            return refuse(e, "texts and numbers for keys", kind == LUA_TTABLE ? "a table" : kind == LUA_TBOOLEAN
                ? "true or false" : "a function");
        const size_t before = enter(e, key);
        if ((kind == LUA_TSTRING ? encode_string(e, key) : encode_number(e, key)) != 0
            || encode_value(e, key + 1, depth + 1) != 0)
            return -1;
        e->path[before] = '\0';
        e->path_bytes = before;
    }
    return append(e, "e", 1);
}

static int encode_value(struct encoder *e, int index, int depth)
{
    switch (lua_type(e->L, index)) {
    case LUA_TNIL:
        return append(e, "n", 1);
    case LUA_TBOOLEAN:
        return append(e, lua_toboolean(e->L, index) ? "1" : "0", 1);
    case LUA_TNUMBER:
        return encode_number(e, index);
    case LUA_TSTRING:
        return encode_string(e, index);
    case LUA_TTABLE:
        return encode_table(e, index, depth);
    case LUA_TFUNCTION:
        return refuse(e, "a text, a number, true, false or a table of those", "a function");
    default:
        return refuse(e, "a text, a number, true, false or a table of those", "another kind of value");
    }
}

int msagen_plain_encode(lua_State *L, int index, const struct msagen_plain_limits *limits, struct msagen_plain *out,
    char *error,
                        size_t error_bytes)
{
    struct encoder e = {.L = L, .limits = limits, .out = out, .error = error, .error_bytes = error_bytes};
    const int top = lua_gettop(L);
    const int status = encode_value(&e, lua_absindex(L, index), 0);
    lua_settop(L, top);
    return status;
}

struct decoder {
    lua_State *L;
    const unsigned char *at, *end;
};

static int take(struct decoder *d, void *value, size_t bytes)
{
    if ((size_t)(d->end - d->at) < bytes)
        return -1;
    memcpy(value, d->at, bytes);
    d->at += bytes;
    return 0;
}

static int decode_value(struct decoder *d, int depth);

static int decode_table(struct decoder *d, int depth)
{
    if (depth == DEPTH || !lua_checkstack(d->L, 4))
        return -1;
    lua_newtable(d->L);
    while (d->at < d->end && *d->at != 'e') {
        if (decode_value(d, depth + 1) != 0)
            return -1;
        const int kind = lua_type(d->L, -1);
        if ((kind != LUA_TSTRING && kind != LUA_TNUMBER) || (kind == LUA_TNUMBER && isnan(lua_tonumber(d->L, -1)))
            || decode_value(d, depth + 1) != 0)
            return -1;
        lua_rawset(d->L, -3);
    }
    return d->at++ < d->end ? 0 : -1;
}

static int decode_value(struct decoder *d, int depth)
{
    lua_Integer i;
    lua_Number f;
    uint64_t bytes;
    switch (d->at < d->end ? *d->at++ : 0) {
    case 'n':
        lua_pushnil(d->L);
        return 0;
    case '0':
    case '1':
        lua_pushboolean(d->L, d->at[-1] == '1');
        return 0;
    case 'i':
        if (take(d, &i, sizeof i) != 0)
            return -1;
        lua_pushinteger(d->L, i);
        return 0;
    case 'f':
        if (take(d, &f, sizeof f) != 0)
            return -1;
        lua_pushnumber(d->L, f);
        return 0;
    case 's':
        if (take(d, &bytes, sizeof bytes) != 0 || (uint64_t)(d->end - d->at) < bytes)
            return -1;
        lua_pushlstring(d->L, (const char *)d->at, (size_t)bytes);
        d->at += bytes;
        return 0;
    case 't':
        return decode_table(d, depth);
    default:
        return -1;
    }
}

int msagen_plain_decode(lua_State *L, const unsigned char *data, size_t bytes)
{
    struct decoder d = {.L = L, .at = data, .end = data + bytes};
    const int top = lua_gettop(L);
    if (lua_checkstack(L, 4) && decode_value(&d, 0) == 0 && d.at == d.end)
        return 0;
    lua_settop(L, top);
    return -1;
}

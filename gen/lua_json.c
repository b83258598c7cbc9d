/* SPDX-License-Identifier: Apache-2.0 */
/* lua_json.c - msagen.json: JSON for Lua.
 *
 *   decode(text, what)          objects and arrays become tables (arrays marked, from 1), null json.null; integers stay integers.
 *                               An error of the user's names `what`, line and column.
 *   encode(value [, options])   keys sorted; { indent = n } puts each member on a line of its own, arrays of plain values on one.
 *                               Tables with keys 1..n are arrays, others objects; an empty one is an object unless marked.
 *   array(t)                    marks t as an array and returns it
 *   is_array(t)                 whether it is marked
 *   null */
#include "explain.h"
#include "host.h"
#include "json.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY "msagen.json.array"

enum { MAX_DEPTH = 200 };

/* A decoded value, released by the collector if an error of Lua's (out of memory) passes by. */
static int document_gc(lua_State *L)
{
    json_t **document = lua_touserdata(L, 1);
    json_decref(*document);
    *document = NULL;
    return 0;
}

static void push_value(lua_State *L, json_t *value)
{
    luaL_checkstack(L, 6, "JSON nested too deep");
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        lua_createtable(L, 0, (int)json_object_size(value));
        json_object_foreach(value, key, member) {
            push_value(L, member);
            lua_setfield(L, -2, key);
        }
        break;
    }
    case JSON_ARRAY: {
        const size_t count = json_array_size(value);
        lua_createtable(L, (int)count, 0);
        for (size_t i = 0; i < count; ++i) {
            push_value(L, json_array_get(value, i));
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        luaL_setmetatable(L, ARRAY);
        break;
    }
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(value));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(value));
        break;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    }
}

static int decode(lua_State *L)
{
    size_t bytes;
    const char *text = luaL_checklstring(L, 1, &bytes), *what = luaL_optstring(L, 2, "JSON");
    json_t **document = lua_newuserdatauv(L, sizeof *document, 0);
    *document = NULL;
    luaL_setmetatable(L, "msagen.json.document");
    char why[MSAGEN_ERROR_BYTES];
    *document = msagen_json_parse(text, bytes, why, sizeof why);
    if (!*document)
        return msagen_fail(L, "%s: not JSON: %s", what, why);
    push_value(L, *document);
    json_decref(*document);
    *document = NULL;
    return 1;
}

static int mark_array(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, ARRAY);
    return 1;
}

static bool marked(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, ARRAY);
    const bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static int is_array(lua_State *L)
{
    lua_pushboolean(L, marked(L, 1));
    return 1;
}

/* ---- encode: pieces go to the array of texts at stack index OUT ---- */

enum { OUT = 3 };

static void put(lua_State *L, const char *text, size_t bytes)
{
    lua_pushlstring(L, text, bytes);
    lua_rawseti(L, OUT, (lua_Integer)lua_rawlen(L, OUT) + 1);
}

static void put_line(lua_State *L, int indent, int depth)
{
    if (indent < 0)
        return;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addchar(&b, '\n');
    for (int i = 0; i < indent * depth; ++i)
        luaL_addchar(&b, ' ');
    luaL_pushresult(&b);
    lua_rawseti(L, OUT, (lua_Integer)lua_rawlen(L, OUT) + 1);
}

/* The length of the UTF-8 sequence at text, 0 if it is none. */
static size_t sequence(const char *text, size_t bytes)
{
    const unsigned char lead = (unsigned char)*text;
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return length <= bytes && (length == 1 || msagen_is_text(text, length)) ? length : 0;
}

/* Bytes that are no UTF-8 (paths may hold them) become U+FFFD. */
static void put_text(lua_State *L, int index)
{
    size_t bytes;
    const char *text = lua_tolstring(L, index, &bytes);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addchar(&b, '"');
    for (size_t i = 0; i < bytes;) {
        const size_t length = sequence(text + i, bytes - i);
        const unsigned char c = (unsigned char)text[i];
        char escape[8];
        if (length == 0)
            luaL_addstring(&b, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\') {
            luaL_addchar(&b, '\\');
            luaL_addchar(&b, (char)c);
        } else if (c == '\n')
            luaL_addstring(&b, "\\n");
        else if (c == '\t')
            luaL_addstring(&b, "\\t");
        else if (c < 0x20 || c == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            luaL_addstring(&b, escape);
        } else
            luaL_addlstring(&b, text + i, length);
        i += length ? length : 1;
    }
    luaL_addchar(&b, '"');
    luaL_pushresult(&b);
    lua_rawseti(L, OUT, (lua_Integer)lua_rawlen(L, OUT) + 1);
}

/* The table's length as an array, or -1: an object. Every key of an array is one of 1..n. */
static lua_Integer array_length(lua_State *L, int index, bool *plain)
{
    const lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    lua_Integer keys = 0;
    bool texts = false;
    *plain = true;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        ++keys;
        if (lua_type(L, -2) == LUA_TSTRING)
            texts = true;
        else if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 || lua_tointeger(L, -2) > n)
            luaL_error(L, "json.encode: a table has a key that is neither a text nor one of 1..n");
        if (lua_istable(L, -1))
            *plain = false;
    }
    if ((texts && n > 0) || (!texts && keys != n) || (texts && marked(L, index)))
        luaL_error(L, "json.encode: a table is neither an array nor an object");
    return n > 0 || marked(L, index) ? n : -1;
}

static void put_value(lua_State *L, int indent, int depth);

static void put_array(lua_State *L, int index, lua_Integer n, bool plain, int indent, int depth)
{
    put(L, "[", 1);
    for (lua_Integer i = 1; i <= n; ++i) {
        if (i > 1)
            put(L, ", ", plain && indent >= 0 ? 2 : 1);
        if (!plain)
            put_line(L, indent, depth + 1);
        lua_rawgeti(L, index, i);
        put_value(L, indent, depth + 1);
        lua_pop(L, 1);
    }
    if (!plain)
        put_line(L, indent, depth);
    put(L, "]", 1);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_object(lua_State *L, int index, int indent, int depth)
{
    size_t count = 0, at = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        ++count;
    /* The keys live in the table, which does not change meanwhile. */
    const char **keys = lua_newuserdatauv(L, (count + 1) * sizeof *keys, 0);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        size_t bytes;
        keys[at] = lua_tolstring(L, -2, &bytes);
        if (strlen(keys[at]) != bytes)
            luaL_error(L, "json.encode: a key holds a NUL");
        ++at;
    }
    qsort(keys, count, sizeof *keys, by_bytes);
    put(L, "{", 1);
    for (size_t i = 0; i < count; ++i) {
        if (i > 0)
            put(L, ",", 1);
        put_line(L, indent, depth + 1);
        lua_pushstring(L, keys[i]);
        put_text(L, lua_gettop(L));
        put(L, ": ", indent >= 0 ? 2 : 1);
        lua_rawget(L, index);
        put_value(L, indent, depth + 1);
        lua_pop(L, 1);
    }
    if (count > 0)
        put_line(L, indent, depth);
    put(L, "}", 1);
    lua_pop(L, 1);
}

/* Append the value on top of the stack, and leave it there. */
static void put_value(lua_State *L, int indent, int depth)
{
    const int index = lua_gettop(L);
    char text[MSAGEN_JSON_REAL_BYTES];
    if (depth > MAX_DEPTH)
        luaL_error(L, "json.encode: nested deeper than %d", MAX_DEPTH);
    luaL_checkstack(L, 10, "json.encode");
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            snprintf(text, sizeof text, LUA_INTEGER_FMT, lua_tointeger(L, index));
        else if (isfinite(lua_tonumber(L, index)))
            msagen_json_real(lua_tonumber(L, index), text);
        else
            luaL_error(L, "json.encode: JSON has no infinity and no NaN");
        put(L, text, strlen(text));
        break;
    case LUA_TSTRING:
        put_text(L, index);
        break;
    case LUA_TBOOLEAN:
        put(L, lua_toboolean(L, index) ? "true" : "false", lua_toboolean(L, index) ? 4 : 5);
        break;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index))
            luaL_error(L, "json.encode: a pointer");
        put(L, "null", 4);
        break;
    case LUA_TTABLE: {
        bool plain;
        const lua_Integer n = array_length(L, index, &plain);
        if (n >= 0)
            put_array(L, index, n, plain, indent, depth);
        else
            put_object(L, index, indent, depth);
        break;
    }
    default:
        luaL_error(L, "json.encode: a value of type %s", luaL_typename(L, index));
    }
}

static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    lua_Integer indent = -1;
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "indent");
        indent = luaL_optinteger(L, -1, -1);
        luaL_argcheck(L, indent >= -1 && indent <= 16, 2, "an indent of 0 to 16 expected");
        lua_pop(L, 1);
    }
    lua_newtable(L);        /* OUT */
    lua_pushvalue(L, 1);
    put_value(L, (int)indent, 0);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    const lua_Integer pieces = (lua_Integer)lua_rawlen(L, OUT);
    for (lua_Integer i = 1; i <= pieces; ++i) {
        lua_rawgeti(L, OUT, i);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    return 1;
}

int luaopen_msagen_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", decode}, {"encode", encode}, {"array", mark_array}, {"is_array", is_array}, {NULL, NULL},
    };
    luaL_newmetatable(L, ARRAY);
    luaL_newmetatable(L, "msagen.json.document");
    lua_pushcfunction(L, document_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}

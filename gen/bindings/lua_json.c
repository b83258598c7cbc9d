/* SPDX-License-Identifier: Apache-2.0 */
/* lua_json.c - msagen.json: JSON for Lua.
 *
 *   decode(text, what)          objects and arrays become tables (arrays marked, from 1), null json.null; integers stay
 *                               integers. An error of the user's names `what`, line and column.
 *   encode(value [, options])   keys sorted; { indent = n } puts each member on a line of its own. Tables with keys
 *                               1..n are arrays, others objects; an empty one is an object unless marked. All reals are
 *                               written to the digits with which each of them is read back.
 *   array(t)                    marks t as an array and returns it
 *   is_array(t)                 whether it is marked
 *   null */
#include "explain.h"
#include "host.h"
#include "json.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define ARRAY "msagen.json.array"
#define DOCUMENT "msagen.json.document"

enum { MAX_DEPTH = 200 };

static void release(json_t **document)
{
    json_decref(*document);
    *document = NULL;
}

static int document_gc(lua_State *L)
{
    release(lua_touserdata(L, 1));
    return 0;
}

/* A place for a value of jansson's, released by the collector if an error of Lua's (out of memory) passes by. */
static json_t **push_document(lua_State *L)
{
    json_t **document = lua_newuserdatauv(L, sizeof *document, 0);
    *document = NULL;
    luaL_setmetatable(L, DOCUMENT);
    return document;
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
    json_t **document = push_document(L);
    char why[MSAGEN_ERROR_BYTES];
    *document = msagen_json_parse(text, bytes, why, sizeof why);
    if (!*document)
        return msagen_fail(L, "%s: not JSON: %s", what, why);
    push_value(L, *document);
    release(document);
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

/* ---- encode: a document of jansson's, in which a value has its place before it is filled: one release frees all */

/* The length of the UTF-8 sequence at text, 0 if it is none. */
static size_t sequence(const char *text, size_t bytes)
{
    const unsigned char lead = (unsigned char)*text;
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return length <= bytes && (length == 1 || msagen_is_text(text, length)) ? length : 0;
}

/* Push a text as JSON can hold it: bytes that are no UTF-8 (paths may hold them) become U+FFFD. */
static const char *push_clean(lua_State *L, int index, size_t *bytes)
{
    size_t all;
    const char *text = lua_tolstring(L, index, &all);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < all;) {
        const size_t length = sequence(text + i, all - i);
        if (length == 0)
            luaL_addstring(&b, "\xef\xbf\xbd");
        else
            luaL_addlstring(&b, text + i, length);
        i += length ? length : 1;
    }
    luaL_pushresult(&b);
    return lua_tolstring(L, -1, bytes);
}

/* Whether a table is an array, whose every key is one of 1..n; or else an object, whose every key is a text. */
static bool is_list(lua_State *L, int index)
{
    const lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    lua_Integer keys = 0;
    bool texts = false;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        ++keys;
        if (lua_type(L, -2) == LUA_TSTRING)
            texts = true;
        else if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 || lua_tointeger(L, -2) > n)
            luaL_error(L, "json.encode: a table has a key that is neither a text nor one of 1..n");
    }
    if ((texts && n > 0) || (!texts && keys != n) || (texts && marked(L, index)))
        luaL_error(L, "json.encode: a table is neither an array nor an object");
    return n > 0 || marked(L, index);
}

static json_t *number(lua_State *L, int index, int *digits)
{
    if (lua_isinteger(L, index))
        return json_integer(lua_tointeger(L, index));
    const double value = lua_tonumber(L, index);
    if (!isfinite(value))
        luaL_error(L, "json.encode: JSON has no infinity and no NaN");
    const int needed = msagen_json_digits(value);
    *digits = needed > *digits ? needed : *digits;
    return json_real(value);
}

/* The value at an index, a table as an empty array or object; NULL where memory is short. `digits` grows with reals. */
static json_t *alone(lua_State *L, int index, int *digits)
{
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        return number(L, index, digits);
    case LUA_TSTRING: {
        size_t bytes;
        const char *text = push_clean(L, index, &bytes);
        json_t *value = json_stringn(text, bytes);
        lua_pop(L, 1);
        return value;
    }
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(L, index));
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index))
            luaL_error(L, "json.encode: a pointer");
        return json_null();
    case LUA_TTABLE:
        return is_list(L, index) ? json_array() : json_object();
    default:
        luaL_error(L, "json.encode: a value of type %s", luaL_typename(L, index));
        return NULL;
    }
}

static void fill(lua_State *L, int index, json_t *into, int *digits, int depth);

static void fill_array(lua_State *L, int index, json_t *into, int *digits, int depth)
{
    const lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= n; ++i) {
        lua_rawgeti(L, index, i);
        const int at = lua_gettop(L);
        json_t *one = alone(L, at, digits);
        if (json_array_append_new(into, one) != 0)
            luaL_error(L, "json.encode: out of memory");
        fill(L, at, one, digits, depth);
        lua_pop(L, 1);
    }
}

static void fill_object(lua_State *L, int index, json_t *into, int *digits, int depth)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 2)) {
        const int at = lua_gettop(L);
        size_t bytes;
        const char *key = push_clean(L, at - 1, &bytes);
        if (strlen(key) != bytes)
            luaL_error(L, "json.encode: a key holds a NUL");
        if (json_object_get(into, key))
            luaL_error(L, "json.encode: two keys are alike in UTF-8");
        json_t *one = alone(L, at, digits);
        if (json_object_set_new(into, key, one) != 0)
            luaL_error(L, "json.encode: out of memory");
        fill(L, at, one, digits, depth);
    }
}

/* The members of the value at an index, if it has any, into what was made for it. */
static void fill(lua_State *L, int index, json_t *into, int *digits, int depth)
{
    if (depth > MAX_DEPTH)
        luaL_error(L, "json.encode: nested deeper than %d", MAX_DEPTH);
    luaL_checkstack(L, 10, "json.encode");
    if (json_is_array(into))
        fill_array(L, index, into, digits, depth + 1);
    else if (json_is_object(into))
        fill_object(L, index, into, digits, depth + 1);
}

static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 2);
    lua_Integer indent = 0;
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "indent");
        indent = luaL_optinteger(L, -1, 0);
        luaL_argcheck(L, indent >= 0 && indent <= 16, 2, "an indent of 0 to 16 expected");
        lua_pop(L, 1);
    }
    json_t **document = push_document(L);
    int digits = 1;
    *document = alone(L, 1, &digits);
    if (!*document)
        return luaL_error(L, "json.encode: out of memory");
    fill(L, 1, *document, &digits, 0);
    const size_t flags = JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION((size_t)digits) |
                         (indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT);
    const size_t bytes = json_dumpb(*document, NULL, 0, flags);
    luaL_Buffer b;
    char *text = luaL_buffinitsize(L, &b, bytes);
    if (bytes == 0 || json_dumpb(*document, text, bytes, flags) != bytes)
        return luaL_error(L, "json.encode: out of memory");
    luaL_pushresultsize(&b, bytes);
    release(document);
    return 1;
}

int luaopen_msagen_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", decode}, {"encode", encode}, {"array", mark_array}, {"is_array", is_array}, {NULL, NULL},
    };
    luaL_newmetatable(L, ARRAY);
    luaL_newmetatable(L, DOCUMENT);
    lua_pushcfunction(L, document_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}

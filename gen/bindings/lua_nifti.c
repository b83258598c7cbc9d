/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.nifti: read(path, path of a pair's image or nil, frame from 0 or nil) -> tensor [K,J,I], or u8 [K,J,I,3] in
 * colour; facts { colour, slope, intercept, frames, form = "sform", "qform" or "none", unusable, affine = 3 rows of 4,
 * spacing = { i, j, k } in mm or 0, directions, header }; directions(affine) -> "LAS" or nil; write(path, tensor,
 * { header, affine, spacing, slope, intercept, labels, gzip }): each may be missing, see nifti.h. */
#include "host.h"
#include "nifti.h"

#include <string.h>

enum { ERROR_TEXT = 4096 };

static void push_row(lua_State *L, const double *values, int n)
{
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; ++i) {
        lua_pushnumber(L, values[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

static void set_number(lua_State *L, const char *field, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, field);
}

static void push_facts(lua_State *L, struct msagen_nifti *n)
{
    static const char *const forms[] = {"none", "qform", "sform"};
    char codes[4];
    lua_newtable(L);
    lua_pushboolean(L, n->colour);
    lua_setfield(L, -2, "colour");
    lua_pushboolean(L, n->unusable);
    lua_setfield(L, -2, "unusable");
    set_number(L, "slope", n->slope);
    set_number(L, "intercept", n->intercept);
    lua_pushinteger(L, n->frames);
    lua_setfield(L, -2, "frames");
    lua_pushstring(L, forms[n->form]);
    lua_setfield(L, -2, "form");
    lua_createtable(L, 3, 0);
    for (int r = 0; r < 3; ++r) {
        push_row(L, n->affine[r], 4);
        lua_rawseti(L, -2, r + 1);
    }
    lua_setfield(L, -2, "affine");
    push_row(L, n->spacing, 3);
    lua_setfield(L, -2, "spacing");
    if (msagen_nifti_directions(n->affine, codes) == 0) {
        lua_pushstring(L, codes);
        lua_setfield(L, -2, "directions");
    }
    lua_pushlstring(L, (const char *)n->header, n->header_bytes);
    lua_setfield(L, -2, "header");
}

static int read(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_nifti n;
    const char *path = luaL_checkstring(L, 1), *image = luaL_optstring(L, 2, NULL);
    const lua_Integer frame = luaL_optinteger(L, 3, -1);
    if (msagen_nifti_read(path, image, frame, &n, error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    msagen_tensor_push(L, n.values);
    push_facts(L, &n);
    return 2;
}

static void check_row(lua_State *L, int table, double *values, int n)
{
    for (int i = 0; i < n; ++i) {
        lua_rawgeti(L, table, i + 1);
        values[i] = luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
}

static void check_affine(lua_State *L, int table, double affine[3][4])
{
    luaL_checktype(L, table, LUA_TTABLE);
    for (int r = 0; r < 3; ++r) {
        lua_rawgeti(L, table, r + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        check_row(L, lua_gettop(L), affine[r], 4);
        lua_pop(L, 1);
    }
}

static int directions(lua_State *L)
{
    double affine[3][4];
    char codes[4];
    check_affine(L, 1, affine);
    if (msagen_nifti_directions(affine, codes) == 0)
        lua_pushstring(L, codes);
    else
        lua_pushnil(L);
    return 1;
}

static int flag(lua_State *L, const char *field)
{
    lua_getfield(L, 3, field);
    const int value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static double number(lua_State *L, const char *field, double missing)
{
    lua_getfield(L, 3, field);
    const double value = luaL_optnumber(L, -1, missing);
    lua_pop(L, 1);
    return value;
}

static int write(lua_State *L)
{
    char error[ERROR_TEXT];
    double affine[3][4];
    struct msagen_nifti_place place = {0};
    const char *path = luaL_checkstring(L, 1);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (lua_getfield(L, 3, "header") == LUA_TSTRING) { /* which stays in the table */
        place.header = (const unsigned char *)lua_tolstring(L, -1, &place.header_bytes);
        luaL_argcheck(L, place.header_bytes == 348 || place.header_bytes == 540, 3, "a header's bytes expected");
    }
    lua_pop(L, 1);
    if (lua_getfield(L, 3, "affine") == LUA_TTABLE) {
        check_affine(L, lua_gettop(L), affine);
        place.affine = (const double(*)[4])affine;
    }
    lua_pop(L, 1);
    if (lua_getfield(L, 3, "spacing") == LUA_TTABLE)
        check_row(L, lua_gettop(L), place.spacing, 3);
    lua_pop(L, 1);
    place.slope = number(L, "slope", 1);
    place.intercept = number(L, "intercept", 0);
    if (msagen_nifti_write(path, t, &place, flag(L, "labels"), flag(L, "gzip"), error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    return 0;
}

int luaopen_msagen_nifti(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", read}, {"directions", directions}, {"write", write}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

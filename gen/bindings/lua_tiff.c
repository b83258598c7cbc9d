/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.tiff: read(path, page from 0 or nil: all) -> tensor [N,H,W], or u8 [N,H,W,3] in colour; facts { colour, pages,
 * orientation, spacing = { rows, columns } in mm or 0, inverted, clear, reduced }: see tiff.h. */
#include "host.h"
#include "tiff.h"

enum { ERROR_TEXT = 4096 };

static void set_flag(lua_State *L, const char *field, int value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, field);
}

static int read(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_tiff t;
    if (msagen_tiff_read(luaL_checkstring(L, 1), luaL_optinteger(L, 2, -1), &t, error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    msagen_tensor_push(L, t.values);
    lua_newtable(L);
    set_flag(L, "colour", t.colour);
    set_flag(L, "inverted", t.inverted);
    set_flag(L, "clear", t.clear);
    set_flag(L, "reduced", t.reduced);
    lua_pushinteger(L, t.pages);
    lua_setfield(L, -2, "pages");
    lua_pushinteger(L, t.orientation);
    lua_setfield(L, -2, "orientation");
    lua_createtable(L, 2, 0);
    for (int i = 0; i < 2; ++i) {
        lua_pushnumber(L, t.spacing[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "spacing");
    return 2;
}

int luaopen_msagen_tiff(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", read}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

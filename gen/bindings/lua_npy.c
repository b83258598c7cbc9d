/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.npy: read(path) -> tensor; write(path, tensor | {dtype=, shape=, bytes=}). */
#include "host.h"
#include "npy.h"

enum { ERROR_TEXT = 4096 };

static int read(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_tensor *t = msagen_npy_read(luaL_checkstring(L, 1), error, sizeof error);
    if (!t)
        return msagen_fail(L, "%s", error);
    msagen_tensor_push(L, t);
    return 1;
}

static int write(lua_State *L)
{
    char error[ERROR_TEXT];
    const char *path = luaL_checkstring(L, 1);
    if (lua_istable(L, 2)) {
        luaL_requiref(L, "msagen.tensor", luaopen_msagen_tensor, 0);
        lua_getfield(L, -1, "frombytes");
        lua_getfield(L, 2, "bytes");
        lua_getfield(L, 2, "dtype");
        lua_getfield(L, 2, "shape");
        lua_call(L, 3, 1);
        lua_replace(L, 2);
    }
    if (msagen_npy_write(path, msagen_tensor_check(L, 2), error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    return 0;
}

int luaopen_msagen_npy(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", read}, {"write", write}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.sandbox, for lua/support/sandbox.lua alone:
 *   run{driver = text of ours, argument = plain data, milliseconds =, bytes =, result_bytes =}
 *       -> "returned", value | "refused" or "failed", text, line | "time" or "memory", nil, line
 *   copy(value)  -> a copy of plain data; or nil, and what is none in it */
#include "explain.h"
#include "host.h"
#include "sandbox.h"

#include <stdlib.h>

enum { RESULT_MOST = 64 << 20 };

/* Holds an encoding, so that it goes also where Lua raises an error. */
static struct msagen_plain *new_plain(lua_State *L)
{
    struct msagen_plain *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (struct msagen_plain){NULL, 0, 0};
    luaL_setmetatable(L, "msagen.plain");
    return p;
}

static int free_plain(lua_State *L)
{
    struct msagen_plain *p = luaL_checkudata(L, 1, "msagen.plain");
    free(p->data);
    p->data = NULL;
    return 0;
}

static lua_Integer integer_field(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    const lua_Integer value = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return value;
}

static int run(lua_State *L)
{
    static const char *const names[] = {"returned", "refused", "time", "memory", "failed"};
    char error[MSAGEN_ERROR_BYTES];
    luaL_checktype(L, 1, LUA_TTABLE);
    struct msagen_sandbox s = {.milliseconds = (unsigned)integer_field(L, "milliseconds"),
        .bytes = (size_t)integer_field(L, "bytes"),
                               .result_bytes = (size_t)integer_field(L, "result_bytes")};
    struct msagen_plain *argument = new_plain(L), *result = new_plain(L);
    lua_getfield(L, 1, "argument");
    const struct msagen_plain_limits limits = {.bytes = RESULT_MOST, .finite = 0};
    if (msagen_plain_encode(L, -1, &limits, argument, error, sizeof error) != 0)
        return luaL_error(L, "sandbox: argument: %s", error);
    s.argument = argument->data;
    s.argument_bytes = argument->bytes;
    lua_getfield(L, 1, "driver");
    s.driver = luaL_checklstring(L, -1, &s.driver_bytes);
    int line;
    const enum msagen_sandbox_end end = msagen_sandbox_run(&s, result, &line, error, sizeof error);
    lua_pushstring(L, names[end]);
    if (end == MSAGEN_SANDBOX_RETURNED) {
        if (msagen_plain_decode(L, result->data, result->bytes) != 0)
            return luaL_error(L, "sandbox: its result cannot be read");
        return 2;
    }
    if (end == MSAGEN_SANDBOX_REFUSED || end == MSAGEN_SANDBOX_FAILED)
        lua_pushstring(L, error);
    else
        lua_pushnil(L);
    lua_pushinteger(L, line);
    return 3;
}

static int copy(lua_State *L)
{
    char error[MSAGEN_ERROR_BYTES];
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct msagen_plain *p = new_plain(L);
    const struct msagen_plain_limits limits = {.bytes = RESULT_MOST, .finite = 1};
    if (msagen_plain_encode(L, 1, &limits, p, error, sizeof error) != 0) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    if (msagen_plain_decode(L, p->data, p->bytes) != 0)
        return luaL_error(L, "sandbox: a copy cannot be read");
    return 1;
}

int luaopen_msagen_sandbox(lua_State *L)
{
    static const luaL_Reg functions[] = {{"run", run}, {"copy", copy}, {NULL, NULL}};
    luaL_newmetatable(L, "msagen.plain");
    lua_pushcfunction(L, free_plain);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.safetensors: write(path, {{name, tensor}...}, {{key, value}...}): a file of these tensors in this order, with
 * texts in its __metadata__; whole or not at all. */
#include "host.h"
#include "safetensors.h"

#include <string.h>

enum { ERROR_TEXT = 4096, MOST = 1 << 20 };

/* Member `which` of entry i of the list at `list`, left on the stack. */
static void push_member(lua_State *L, int list, lua_Unsigned i, int which)
{
    lua_rawgeti(L, list, (lua_Integer)i);
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_rawgeti(L, -1, which);
    lua_remove(L, -2);
}

/* Text `which` of entry i, which lives as long as the list. */
static const char *text_of(lua_State *L, int list, lua_Unsigned i, int which)
{
    size_t bytes;
    push_member(L, list, i, which);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, list, "texts expected");
    const char *text = lua_tolstring(L, -1, &bytes);
    luaL_argcheck(L, strlen(text) == bytes, list, "texts without NUL expected");
    lua_pop(L, 1);
    return text;
}

static int write(lua_State *L)
{
    char error[ERROR_TEXT];
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    const lua_Unsigned count = lua_rawlen(L, 2), told = lua_rawlen(L, 3);
    luaL_argcheck(L, count <= MOST && told <= MOST, 2, "too many");
    const char **names = lua_newuserdatauv(L, ((size_t)count + 2 * (size_t)told + 1) * sizeof *names, 0);
    const char **metadata = names + count;
    const struct msagen_tensor **tensors = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof(void *), 0);
    for (lua_Unsigned i = 0; i < count; ++i) {
        names[i] = text_of(L, 2, i + 1, 1);
        push_member(L, 2, i + 1, 2);
        tensors[i] = msagen_tensor_check(L, -1);
        lua_pop(L, 1);
    }
    for (lua_Unsigned i = 0; i < 2 * told; ++i)
        metadata[i] = text_of(L, 3, i / 2 + 1, (int)(i % 2) + 1);
    metadata[2 * told] = NULL;
    if (msagen_safetensors_write(path, names, tensors, (size_t)count, metadata, error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    return 0;
}

int luaopen_msagen_safetensors(lua_State *L)
{
    static const luaL_Reg functions[] = {{"write", write}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

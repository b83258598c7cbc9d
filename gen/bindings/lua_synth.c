/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.synth: write(path, {{name=, shape=}, ...}, seed [, progress]); tensor(name, shape, seed); image(side, seed).
 * */
#include "host.h"
#include "synth.h"

#include <string.h>

enum { ERROR_TEXT = 4096 };

int luaopen_msagen_synth(lua_State *L);

static int check_shape(lua_State *L, int at, int64_t *shape)
{
    luaL_checktype(L, at, LUA_TTABLE);
    const lua_Unsigned dims = lua_rawlen(L, at);
    if (dims > MSAGEN_MAX_DIMS)
        return luaL_error(L, "too many dimensions");
    for (lua_Unsigned i = 0; i < dims; ++i) {
        lua_rawgeti(L, at, (lua_Integer)i + 1);
        shape[i] = luaL_checkinteger(L, -1);
        if (shape[i] < 1)
            return luaL_error(L, "sizes of at least 1 expected");
        lua_pop(L, 1);
    }
    return (int)dims;
}

/* The Lua function at index 4 is told how far we are; its errors wait until the file is complete or gone. */
static void report(void *context, uint32_t done, uint32_t count)
{
    lua_State *L = context;
    lua_pushvalue(L, 4);
    lua_pushinteger(L, (lua_Integer)done);
    lua_pushinteger(L, (lua_Integer)count);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        lua_pop(L, 1);
}

static int write(lua_State *L)
{
    char error[ERROR_TEXT];
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    const uint64_t seed = (uint64_t)luaL_checkinteger(L, 3);
    lua_settop(L, 4);
    const lua_Unsigned count = lua_rawlen(L, 2);
    luaL_argcheck(L, count <= 1 << 20, 2, "too many tensors");
    struct msagen_synth_tensor *tensors = lua_newuserdatauv(L, (size_t)count * sizeof *tensors + 1, 0);
    for (lua_Unsigned i = 0; i < count; ++i) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        lua_getfield(L, -1, "name");
        tensors[i].name = luaL_checkstring(L, -1); /* alive as long as the table at 2 */
        lua_getfield(L, -2, "shape");
        tensors[i].dims = check_shape(L, lua_gettop(L), tensors[i].shape);
        lua_pop(L, 3);
    }
    if (msagen_synth_write(path, tensors, (uint32_t)count, seed, lua_isfunction(L, 4) ? report : NULL, L, error,
                           sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    return 0;
}

static int push(lua_State *L, struct msagen_tensor *t)
{
    if (!t)
        return msagen_fail(L, "synth: out of memory");
    msagen_tensor_push(L, t);
    return 1;
}

static int tensor(lua_State *L)
{
    struct msagen_synth_tensor s = {.name = luaL_checkstring(L, 1)};
    s.dims = check_shape(L, 2, s.shape);
    const uint64_t seed = (uint64_t)luaL_checkinteger(L, 3);
    struct msagen_tensor *t = msagen_tensor_zeros(s.name, MSAGEN_F32, s.dims, s.shape);
    if (t)
        msagen_synth_values(&s, seed, 0, (size_t)msagen_tensor_numel(t), (float *)(uintptr_t)t->storage->data);
    return push(L, t);
}

static int image(lua_State *L)
{
    const lua_Integer side = luaL_checkinteger(L, 1);
    luaL_argcheck(L, side >= 1 && side <= 16384, 1, "1 to 16384 pixels expected");
    const uint64_t seed = (uint64_t)luaL_checkinteger(L, 2);
    struct msagen_tensor *t = msagen_tensor_zeros("image", MSAGEN_U8, 3, (int64_t[]){side, side, 3});
    if (t)
        msagen_synth_image(seed, 0, t->storage->bytes, (unsigned char *)(uintptr_t)t->storage->data);
    return push(L, t);
}

int luaopen_msagen_synth(lua_State *L)
{
    static const luaL_Reg functions[] = {{"write", write}, {"tensor", tensor}, {"image", image}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

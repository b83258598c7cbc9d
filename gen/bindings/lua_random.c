/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.random: random numbers of a counter (random.h). Keys and bits are whole numbers of 64 bits.
 *   key(seed, part...) -> key; key(seed) is the seed
 *   bits(key, i), below(key, i, n), unit(key, i), normal(key, i)
 *   order(key, n, count = n) -> {number from 0...}: the first of a permutation
 *   uniform(key, shape, low, high) -> f32: low + (high - low) unit, of element i number i, rounded once
 *   normals(key, shape, deviation) -> f32: deviation normal, as above */
#include "host.h"
#include "random.h"
#include "tensor_internal.h"

static uint64_t number(lua_State *L, int arg)
{
    return (uint64_t)luaL_checkinteger(L, arg);
}

static int key(lua_State *L)
{
    uint64_t made = number(L, 1);
    for (int i = 2; i <= lua_gettop(L); ++i)
        made = msagen_random_key(made, number(L, i));
    lua_pushinteger(L, (lua_Integer)made);
    return 1;
}

static int bits(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)msagen_random_bits(number(L, 1), number(L, 2)));
    return 1;
}

static int below(lua_State *L)
{
    const lua_Integer n = luaL_checkinteger(L, 3);
    luaL_argcheck(L, n > 0, 3, "a number above 0 expected");
    lua_pushinteger(L, (lua_Integer)msagen_random_below(number(L, 1), number(L, 2), (uint64_t)n));
    return 1;
}

static int unit(lua_State *L)
{
    lua_pushnumber(L, msagen_random_unit(number(L, 1), number(L, 2)));
    return 1;
}

static int normal(lua_State *L)
{
    lua_pushnumber(L, msagen_random_normal(number(L, 1), number(L, 2)));
    return 1;
}

static int order(lua_State *L)
{
    enum { MOST = 1 << 26 };
    const lua_Integer n = luaL_checkinteger(L, 2), count = luaL_optinteger(L, 3, n);
    luaL_argcheck(L, n >= 0 && n <= MOST, 2, "0 to 67108864 expected");
    luaL_argcheck(L, count >= 0 && count <= n, 3, "no more than there are expected");
    int64_t *const found = lua_newuserdatauv(L, (size_t)count * sizeof *found + 1, 0);
    if (msagen_random_order(number(L, 1), (size_t)n, (size_t)count, found) != 0)
        return msagen_fail(L, "random order: out of memory");
    lua_createtable(L, (int)count, 0);
    for (lua_Integer i = 0; i < count; ++i) {
        lua_pushinteger(L, (lua_Integer)found[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* A new f32 tensor of the shape at index 2, pushed. */
static struct msagen_tensor *new_tensor(lua_State *L)
{
    int64_t shape[MSAGEN_MAX_DIMS];
    luaL_checktype(L, 2, LUA_TTABLE);
    const lua_Unsigned dims = lua_rawlen(L, 2);
    luaL_argcheck(L, dims <= MSAGEN_MAX_DIMS, 2, "too many dimensions");
    for (lua_Unsigned i = 0; i < dims; ++i) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        shape[i] = luaL_checkinteger(L, -1);
        luaL_argcheck(L, shape[i] >= 0, 2, "a negative size");
        lua_pop(L, 1);
    }
    struct msagen_tensor *t = msagen_tensor_zeros("random", MSAGEN_F32, (int)dims, shape);
    if (!t)
        msagen_fail(L, "random tensor: out of memory");
    msagen_tensor_push(L, t);
    return t;
}

static int uniform(lua_State *L)
{
    const uint64_t of = number(L, 1);
    const double low = luaL_checknumber(L, 3), high = luaL_checknumber(L, 4);
    const struct msagen_tensor *t = new_tensor(L);
    float *const out = msagen_tensor_writable(t);
    const int64_t n = msagen_tensor_numel(t);
    for (int64_t i = 0; i < n; ++i)
        out[i] = (float)(low + (high - low) * msagen_random_unit(of, (uint64_t)i));
    return 1;
}

static int normals(lua_State *L)
{
    const uint64_t of = number(L, 1);
    const double deviation = luaL_checknumber(L, 3);
    const struct msagen_tensor *t = new_tensor(L);
    float *const out = msagen_tensor_writable(t);
    const int64_t n = msagen_tensor_numel(t);
    for (int64_t i = 0; i < n; ++i)
        out[i] = (float)(deviation * msagen_random_normal(of, (uint64_t)i));
    return 1;
}

int luaopen_msagen_random(lua_State *L)
{
    static const luaL_Reg functions[] = {{"key", key},         {"bits", bits},     {"below", below},
                                         {"unit", unit},       {"normal", normal}, {"order", order},
                                         {"uniform", uniform}, {"normals", normals}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

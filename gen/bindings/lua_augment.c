/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.augment: changes of pictures and masks (augment.h).
 *   warp(u8 [H,W,3] or [D,H,W,3], map) -> the same size, bilinear; map: six numbers
 *   nearest(tensor [H,W] or [D,H,W] of any type, map) -> the same size
 *   curve(gamma, gain, shift) -> 256 bytes
 *   levels(u8 tensor, 256 bytes) -> the same size: of each value v byte v
 *   turn(degrees) -> cosine, sine, the same everywhere */
#include "augment.h"
#include "elementary.h"
#include "host.h"
#include "tensor_internal.h"

#include <math.h>

static struct msagen_augment_map map_of(lua_State *L, int arg)
{
    struct msagen_augment_map map;
    luaL_checktype(L, arg, LUA_TTABLE);
    luaL_argcheck(L, lua_rawlen(L, arg) == 6, arg, "six numbers expected");
    for (int i = 0; i < 6; ++i) {
        lua_rawgeti(L, arg, i + 1);
        map.m[i] = luaL_checknumber(L, -1);
        luaL_argcheck(L, fabs(map.m[i]) <= MSAGEN_AUGMENT_MOST, arg, "numbers from -1e6 to 1e6 expected");
        lua_pop(L, 1);
    }
    return map;
}

/* A new tensor like that at 1, pushed; *in: a copy of its elements. */
static struct msagen_tensor *new_like(lua_State *L, uint8_t **in)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const int64_t n = msagen_tensor_numel(t);
    *in = lua_newuserdatauv(L, (size_t)n * msagen_dtype_bytes(t->dtype) + 1, 0);
    msagen_tensor_read_raw(t, 0, n, *in);
    struct msagen_tensor *made = msagen_tensor_zeros(t->name, t->dtype, t->dims, t->shape);
    if (!made)
        msagen_fail(L, "%s: out of memory", t->name);
    msagen_tensor_push(L, made);
    return made;
}

/* Dimensions behind those of slices, a pixel's channels or none; checked. */
static void check_sides(lua_State *L, const struct msagen_tensor *t, int first)
{
    for (int k = first; k < first + 2; ++k)
        if (t->shape[k] < 1 || t->shape[k] > MSAGEN_AUGMENT_SIDE)
            msagen_fail(L, "%s: expected sides from 1 to %d pixels, found %lld", t->name, MSAGEN_AUGMENT_SIDE,
                        (long long)t->shape[k]);
}

static int warp(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const struct msagen_augment_map map = map_of(L, 2);
    luaL_argcheck(L, t->dtype == MSAGEN_U8 && (t->dims == 3 || t->dims == 4) && t->shape[t->dims - 1] == 3, 1,
                  "u8 [H,W,3] or [D,H,W,3] expected");
    const int first = t->dims - 3;
    check_sides(L, t, first);
    const size_t height = (size_t)t->shape[first], width = (size_t)t->shape[first + 1], bytes = height * width * 3;
    const int64_t slices = first ? t->shape[0] : 1;
    uint8_t *in;
    uint8_t *const out = msagen_tensor_writable(new_like(L, &in));
    for (int64_t z = 0; z < slices; ++z)
        msagen_augment_warp(in + (size_t)z * bytes, height, width, 3, &map, out + (size_t)z * bytes);
    return 1;
}

static int nearest(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const struct msagen_augment_map map = map_of(L, 2);
    luaL_argcheck(L, t->dims == 2 || t->dims == 3, 1, "[H,W] or [D,H,W] expected");
    const int first = t->dims - 2;
    check_sides(L, t, first);
    const size_t height = (size_t)t->shape[first], width = (size_t)t->shape[first + 1];
    const size_t each = msagen_dtype_bytes(t->dtype), bytes = height * width * each;
    const int64_t slices = first ? t->shape[0] : 1;
    uint8_t *in;
    uint8_t *const out = msagen_tensor_writable(new_like(L, &in));
    for (int64_t z = 0; z < slices; ++z)
        msagen_augment_nearest(in + (size_t)z * bytes, height, width, each, &map, out + (size_t)z * bytes);
    return 1;
}

static int curve(lua_State *L)
{
    const double gamma = luaL_checknumber(L, 1), gain = luaL_checknumber(L, 2), shift = luaL_checknumber(L, 3);
    luaL_argcheck(L, gamma >= 0.01 && gamma <= 100.0, 1, "0.01 to 100 expected");
    luaL_argcheck(L, fabs(gain) <= MSAGEN_AUGMENT_MOST, 2, "-1e6 to 1e6 expected");
    luaL_argcheck(L, fabs(shift) <= MSAGEN_AUGMENT_MOST, 3, "-1e6 to 1e6 expected");
    uint8_t levels[256];
    msagen_augment_curve(gamma, gain, shift, levels);
    lua_pushlstring(L, (const char *)levels, sizeof levels);
    return 1;
}

static int levels(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    size_t bytes;
    const uint8_t *const of = (const uint8_t *)luaL_checklstring(L, 2, &bytes);
    luaL_argcheck(L, t->dtype == MSAGEN_U8, 1, "u8 expected");
    luaL_argcheck(L, bytes == 256, 2, "256 bytes expected");
    uint8_t *in;
    struct msagen_tensor *const made = new_like(L, &in);
    uint8_t *const out = msagen_tensor_writable(made);
    const int64_t n = msagen_tensor_numel(made);
    for (int64_t i = 0; i < n; ++i)
        out[i] = of[in[i]];
    return 1;
}

static int turn(lua_State *L)
{
    const double degrees = luaL_checknumber(L, 1);
    luaL_argcheck(L, fabs(degrees) <= MSAGEN_AUGMENT_MOST, 1, "-1e6 to 1e6 expected");
    double cosine, sine;
    msagen_turn(degrees, &cosine, &sine);
    lua_pushnumber(L, cosine);
    lua_pushnumber(L, sine);
    return 2;
}

int luaopen_msagen_augment(lua_State *L)
{
    static const luaL_Reg functions[] = {{"warp", warp},     {"nearest", nearest}, {"curve", curve},
                                         {"levels", levels}, {"turn", turn},       {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

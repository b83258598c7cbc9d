/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.intensity: a volume is {stored = tensor, slope = 1, intercept = 0} (intensity.h); a scaling {low =, high =,
 * from =, over =, plus =, times =, keep_zero =, whole =}; a grid {shape = {3}, box = {{axis = 1..3, first = from 0,
 * size =, flipped =}, 3 of them}, place = {{4}, {4}, {4}}, inside = {{first, size}, 3 of them}} (regrid.h).
 *   range(volume, positive) -> {counted, nans, infinite, low, high, mean}
 *   deviation(volume, mean) -> number
 *   percentiles(volume, positive, low, high) -> two numbers, or nothing where no voxel counts
 *   box(volume, above) -> {{first, size}, 3 of them}, or nothing
 *   numbers(volume, scaling, grid or nil) -> f64 tensor; picture(the same, times) -> u8 tensor [..,3]
 *   nearest(tensor, grid) -> tensor */
#include "host.h"
#include "regrid.h"

static double number_in(lua_State *L, int table, const char *key, double otherwise)
{
    lua_getfield(L, table, key);
    const double value = luaL_optnumber(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static int flag_in(lua_State *L, int table, const char *key)
{
    lua_getfield(L, table, key);
    const int value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static int64_t integer_in(lua_State *L, int table, const char *key)
{
    lua_getfield(L, table, key);
    const lua_Integer value = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* The tensor stays referenced by the argument's table. */
static struct msagen_volume check_volume(lua_State *L, int arg)
{
    struct msagen_volume volume = {0};
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_getfield(L, arg, "stored");
    volume.stored = msagen_tensor_check(L, -1);
    lua_pop(L, 1);
    volume.slope = number_in(L, arg, "slope", 1);
    volume.intercept = number_in(L, arg, "intercept", 0);
    return volume;
}

static enum msagen_voxels check_voxels(lua_State *L, int arg)
{
    return lua_toboolean(L, arg) ? MSAGEN_VOXELS_POSITIVE : MSAGEN_VOXELS_ALL;
}

static struct msagen_scaling check_scaling(lua_State *L, int arg)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    struct msagen_scaling scaling = {
        .low = number_in(L, arg, "low", 0), .high = number_in(L, arg, "high", 0), .from = number_in(L, arg, "from", 0),
        .over = number_in(L, arg, "over", 1), .plus = number_in(L, arg, "plus", 0),
        .times = number_in(L, arg, "times", 1),
        .keep_zero = flag_in(L, arg, "keep_zero"), .whole = flag_in(L, arg, "whole")};
    luaL_argcheck(L, scaling.over > 0 && scaling.low <= scaling.high, arg, "over > 0 and low <= high expected");
    return scaling;
}

/* Row `row` (from 0) of the array at the top, as `count` numbers. */
static void row_of(lua_State *L, int row, int count, double *out)
{
    lua_rawgeti(L, -1, row + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int i = 0; i < count; ++i) {
        lua_rawgeti(L, -1, i + 1);
        out[i] = luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void check_axis(lua_State *L, int arg, int row, const struct msagen_tensor *t, struct msagen_grid_axis *axis)
{
    lua_rawgeti(L, -1, row + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    const int at = lua_gettop(L);
    const int64_t which = integer_in(L, at, "axis"), first = integer_in(L, at, "first"),
                  size = integer_in(L, at, "size");
    luaL_argcheck(L, which >= 1 && which <= 3, arg, "box: an axis from 1 to 3 expected");
    const int flipped = flag_in(L, at, "flipped");
    const int64_t length = t->shape[which - 1], low = flipped ? first - size + 1 : first;
    luaL_argcheck(L, size >= 1 && size <= length && first >= 0 && first < length && low >= 0 && low <= length - size,
        arg, "box: elements of the volume expected");
    *axis = (struct msagen_grid_axis){(int)which - 1, first, size, flipped};
    lua_pop(L, 1);
}

static struct msagen_grid check_grid(lua_State *L, int arg, const struct msagen_tensor *t)
{
    struct msagen_grid grid = {0};
    luaL_checktype(L, arg, LUA_TTABLE);
    luaL_argcheck(L, t->dims == 3, arg, "for three dimensions only");
    lua_getfield(L, arg, "shape");
    lua_getfield(L, arg, "inside");
    lua_getfield(L, arg, "place");
    for (int i = -3; i < 0; ++i)
        luaL_argcheck(L, lua_istable(L, i), arg, "shape, inside and place expected");
    for (int d = 0; d < 3; ++d)
        row_of(L, d, 4, grid.place[d]);
    lua_pop(L, 1);
    for (int d = 0; d < 3; ++d) {
        double inside[2];
        row_of(L, d, 2, inside);
        luaL_argcheck(L, inside[0] >= 0 && inside[0] <= 1 << 20 && inside[1] >= 0 && inside[1] <= 1 << 20, arg,
            "inside: 0 to 2^20 expected");
        grid.inside_first[d] = (int64_t)inside[0];
        grid.inside_size[d] = (int64_t)inside[1];
    }
    lua_pop(L, 1);
    for (int d = 0; d < 3; ++d) {
        lua_rawgeti(L, -1, d + 1);
        grid.shape[d] = luaL_checkinteger(L, -1);
        luaL_argcheck(L, grid.shape[d] >= 1 && grid.shape[d] <= 1 << 20, arg, "shape: 1 to 2^20 expected");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    lua_getfield(L, arg, "box");
    luaL_argcheck(L, lua_istable(L, -1), arg, "box expected");
    for (int d = 0; d < 3; ++d)
        check_axis(L, arg, d, t, &grid.box[d]);
    lua_pop(L, 1);
    return grid;
}

static int range(lua_State *L)
{
    const struct msagen_volume volume = check_volume(L, 1);
    const struct msagen_range found = msagen_intensity_range(&volume, check_voxels(L, 2));
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, found.counted);
    lua_setfield(L, -2, "counted");
    lua_pushinteger(L, found.nans);
    lua_setfield(L, -2, "nans");
    lua_pushinteger(L, found.infinite);
    lua_setfield(L, -2, "infinite");
    lua_pushnumber(L, found.low);
    lua_setfield(L, -2, "low");
    lua_pushnumber(L, found.high);
    lua_setfield(L, -2, "high");
    lua_pushnumber(L, found.mean);
    lua_setfield(L, -2, "mean");
    return 1;
}

static int deviation(lua_State *L)
{
    const struct msagen_volume volume = check_volume(L, 1);
    lua_pushnumber(L, msagen_intensity_deviation(&volume, luaL_checknumber(L, 2)));
    return 1;
}

static int percentiles(lua_State *L)
{
    const struct msagen_volume volume = check_volume(L, 1);
    double percent[MSAGEN_PERCENTILES], out[MSAGEN_PERCENTILES];
    for (int i = 0; i < MSAGEN_PERCENTILES; ++i) {
        percent[i] = luaL_checknumber(L, 3 + i);
        luaL_argcheck(L, percent[i] >= 0 && percent[i] <= 100, 3 + i, "0 to 100 expected");
    }
    const int64_t counted = msagen_intensity_percentiles(&volume, check_voxels(L, 2), percent, out);
    if (counted < 0)
        return msagen_fail(L, "%s: out of memory", volume.stored->name);
    for (int i = 0; counted && i < MSAGEN_PERCENTILES; ++i)
        lua_pushnumber(L, out[i]);
    return counted ? MSAGEN_PERCENTILES : 0;
}

static int box(lua_State *L)
{
    const struct msagen_volume volume = check_volume(L, 1);
    luaL_argcheck(L, volume.stored->dims == 3 && msagen_tensor_numel(volume.stored) > 0, 1,
        "three dimensions expected");
    int64_t first[3], size[3];
    if (!msagen_intensity_box(&volume, (float)luaL_checknumber(L, 2), first, size))
        return 0;
    lua_createtable(L, 3, 0);
    for (int d = 0; d < 3; ++d) {
        lua_createtable(L, 2, 0);
        lua_pushinteger(L, first[d]);
        lua_rawseti(L, -2, 1);
        lua_pushinteger(L, size[d]);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, d + 1);
    }
    return 1;
}

static int made(lua_State *L, enum msagen_regrid_result result, double times)
{
    const struct msagen_volume volume = check_volume(L, 1);
    const struct msagen_scaling scaling = check_scaling(L, 2);
    struct msagen_grid grid;
    if (lua_isnoneornil(L, 3))
        luaL_argcheck(L, volume.stored->dims < MSAGEN_MAX_DIMS, 1, "fewer dimensions expected");
    else
        grid = check_grid(L, 3, volume.stored);
    struct msagen_tensor *t = msagen_regrid(&volume, &scaling, lua_isnoneornil(L, 3) ? NULL : &grid, result, times);
    if (!t)
        return msagen_fail(L, "%s: out of memory", volume.stored->name);
    msagen_tensor_push(L, t);
    return 1;
}

static int numbers(lua_State *L)
{
    return made(L, MSAGEN_REGRID_NUMBERS, 1);
}

static int picture(lua_State *L)
{
    return made(L, MSAGEN_REGRID_PICTURE, luaL_checknumber(L, 4));
}

static int nearest(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const struct msagen_grid grid = check_grid(L, 2, t);
    struct msagen_tensor *r = msagen_regrid_nearest(t, &grid);
    if (!r)
        return msagen_fail(L, "%s: out of memory", t->name);
    msagen_tensor_push(L, r);
    return 1;
}

int luaopen_msagen_intensity(lua_State *L)
{
    static const luaL_Reg functions[] = {{"range", range},     {"deviation", deviation}, {"percentiles", percentiles},
                                         {"box", box},         {"numbers", numbers},     {"picture", picture},
                                         {"nearest", nearest}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

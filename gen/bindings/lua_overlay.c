/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.overlay: draw(image u8 [D,H,W,3], mask u8 [D,H,W], marks) -> u8 [rows*H, columns*W, 3], slices row by row in a
 * sheet about square. marks[slice] = {points = {{x, y}, ...}, labels = {1|0|-1, ...}, box = {x0, y0, x1, y1}, numbered
 * = boolean}, each of them optional: numbered points show which was first. */
#include "host.h"
#include "overlay.h"
#include "tensor.h"

#include <string.h>

int luaopen_msagen_overlay(lua_State *L);

enum { MAX_SHEET = 16384 };

static double number_at(lua_State *L, int table, lua_Integer i)
{
    lua_rawgeti(L, table, i);
    const double x = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return x;
}

static void draw_points(lua_State *L, struct msagen_canvas *canvas, int marks, int points)
{
    lua_getfield(L, marks, "labels");
    const int labels = lua_gettop(L);
    luaL_checktype(L, labels, LUA_TTABLE);
    lua_getfield(L, marks, "numbered");
    const int numbered = lua_toboolean(L, -1);
    const lua_Integer count = luaL_len(L, points);
    /* Freed by the collector if an error passes by. */
    double(*at)[2] = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *at, 0);
    int *signs = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *signs, 0);
    for (lua_Integer i = 1; i <= count; ++i) {
        signs[i - 1] = (int)number_at(L, labels, i);
        lua_rawgeti(L, points, i);
        at[i - 1][0] = number_at(L, lua_gettop(L), 1);
        at[i - 1][1] = number_at(L, lua_gettop(L), 2);
        lua_pop(L, 1);
        if (!numbered && signs[i - 1] >= 0)
            msagen_overlay_point(canvas, at[i - 1][0], at[i - 1][1], signs[i - 1]);
    }
    if (numbered && msagen_overlay_clicks(canvas, (const double(*)[2])at, signs, (size_t)count) != 0)
        msagen_fail(L, "overlay: out of memory");
}

/* The marks of one slice, on top of the stack. */
static void draw_marks(lua_State *L, struct msagen_canvas *canvas)
{
    const int marks = lua_gettop(L);
    luaL_checktype(L, marks, LUA_TTABLE);
    if (lua_getfield(L, marks, "box") == LUA_TTABLE) {
        const int box = lua_gettop(L);
        msagen_overlay_box(canvas, number_at(L, box, 1), number_at(L, box, 2), number_at(L, box, 3),
                           number_at(L, box, 4));
    }
    if (lua_getfield(L, marks, "points") == LUA_TTABLE)
        draw_points(L, canvas, marks, lua_gettop(L));
    lua_settop(L, marks);
}

static int draw(lua_State *L)
{
    const struct msagen_tensor *image = msagen_tensor_check(L, 1), *mask = msagen_tensor_check(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    int fit = image->dtype == MSAGEN_U8 && mask->dtype == MSAGEN_U8 && image->dims == 4 && mask->dims == 3 &&
              image->shape[3] == 3;
    for (int i = 0; fit && i < 3; ++i)
        fit = image->shape[i] == mask->shape[i] && image->shape[i] > 0;
    luaL_argcheck(L, fit, 2, "an image u8 [D,H,W,3] and a mask u8 [D,H,W] expected");

    const int64_t slices = image->shape[0], height = image->shape[1], width = image->shape[2];
    int64_t columns = 1;
    while (columns * columns < slices)
        ++columns;
    const int64_t rows = (slices + columns - 1) / columns;
    if (columns * width > MAX_SHEET || rows * height > MAX_SHEET)
        return msagen_fail(L, "overlay: expected at most %d pixels a side, found %lld slices of %lldx%lld", MAX_SHEET,
                           (long long)slices, (long long)width, (long long)height);
    struct msagen_tensor *sheet =
        msagen_tensor_zeros("overlay", MSAGEN_U8, 3, (const int64_t[]){rows * height, columns * width, 3});
    if (!sheet)
        return msagen_fail(L, "overlay: out of memory");
    msagen_tensor_push(L, sheet);
    unsigned char *const pixels = (unsigned char *)(size_t)sheet->storage->data;
    const size_t stride = (size_t)(columns * width) * 3;
    /* Freed by the collector if an error passes by. */
    unsigned char *const bits = lua_newuserdatauv(L, (size_t)(height * width), 0);
    for (int64_t slice = 0; slice < slices; ++slice) {
        struct msagen_canvas canvas = {
            pixels + (size_t)(slice / columns * height) * stride + (size_t)(slice % columns * width) * 3,
            (size_t)width,
            (size_t)height,
            stride,
        };
        for (int64_t y = 0; y < height; ++y)
            msagen_tensor_read_raw(image, (slice * height + y) * width * 3, width * 3,
                                   canvas.pixels + (size_t)y * stride);
        msagen_tensor_read_raw(mask, slice * height * width, height * width, bits);
        if (msagen_overlay_mask(&canvas, bits) != 0)
            return msagen_fail(L, "overlay: out of memory");
        lua_rawgeti(L, 3, slice + 1);
        draw_marks(L, &canvas);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return 1;
}

int luaopen_msagen_overlay(lua_State *L)
{
    static const luaL_Reg functions[] = {{"draw", draw}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

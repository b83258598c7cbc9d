/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.overlay: draw(image u8 [D,H,W,3], layers, options = {}) -> u8 [zoom*rows*H, zoom*columns*W, 3], slices row by
 * row in a sheet about square. A layer is { mask = u8 [D,H,W], colour = {r, g, b}, or truth = true, marks = nil or, a
 * slice, {points = {{x, y}, ...}, labels = {1|0|-1, ...}, box = {x0, y0, x1, y1}, numbered = boolean} }, each of them
 * optional: numbered points show which was first. options: opacity (0.3) of masks, contour (true), numbers (false) of
 * slices, zoom (1): how many pixels a side each pixel becomes. */
#include "host.h"
#include "overlay.h"
#include "tensor.h"

#include <string.h>

int luaopen_msagen_overlay(lua_State *L);

enum { MAX_SHEET = 16384 };

struct options {
    double opacity;
    int contour, numbers;
    int64_t zoom;
};

/* What is drawn into: the canvas of a slice, and which slice. */
struct view {
    struct msagen_canvas canvas;
    int64_t slice;
    double zoom;
};

static double number_at(lua_State *L, int table, lua_Integer i)
{
    lua_rawgeti(L, table, i);
    const double x = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return x;
}

static void draw_points(lua_State *L, struct view *view, int marks, int points)
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
        at[i - 1][0] = view->zoom * number_at(L, lua_gettop(L), 1);
        at[i - 1][1] = view->zoom * number_at(L, lua_gettop(L), 2);
        lua_pop(L, 1);
        if (!numbered && signs[i - 1] >= 0)
            msagen_overlay_point(&view->canvas, at[i - 1][0], at[i - 1][1], signs[i - 1]);
    }
    if (numbered && msagen_overlay_clicks(&view->canvas, (const double(*)[2])at, signs, (size_t)count) != 0)
        msagen_fail(L, "overlay: out of memory");
}

/* Of all layers first the tints, over these the lines, and clicks over boxes. */
enum pass { TINTS, LINES, BOXES, POINTS, PASSES };

/* The marks of one slice, on top of the stack. */
static void draw_marks(lua_State *L, struct view *view, enum pass pass)
{
    const int marks = lua_gettop(L);
    luaL_checktype(L, marks, LUA_TTABLE);
    if (pass == BOXES && lua_getfield(L, marks, "box") == LUA_TTABLE) {
        const int box = lua_gettop(L);
        const double z = view->zoom;
        msagen_overlay_box(&view->canvas, z * number_at(L, box, 1), z * number_at(L, box, 2), z * number_at(L, box, 3),
                           z * number_at(L, box, 4));
    }
    if (pass == POINTS && lua_getfield(L, marks, "points") == LUA_TTABLE)
        draw_points(L, view, marks, lua_gettop(L));
    lua_settop(L, marks);
}

/* Each pixel of `bytes` as a square of `zoom` a side. */
static void copy_pixels(const struct msagen_tensor *from, const struct view *view, int64_t bytes, unsigned char *row,
                        unsigned char *to, size_t stride)
{
    const int64_t height = from->shape[1], width = from->shape[2], zoom = (int64_t)view->zoom;
    for (int64_t y = 0; y < height; ++y) {
        msagen_tensor_read_raw(from, (view->slice * height + y) * width * bytes, width * bytes, row);
        unsigned char *const first = to + (size_t)(y * zoom) * stride;
        for (int64_t x = 0; x < width * zoom; ++x)
            memcpy(first + x * bytes, row + x / zoom * bytes, (size_t)bytes);
        for (int64_t i = 1; i < zoom; ++i)
            memcpy(first + (size_t)i * stride, first, (size_t)(width * zoom * bytes));
    }
}

/* A pass of the layer on top of the stack. `row`, `bits`: room for a row of the image and for the canvas. */
static void draw_layer(lua_State *L, struct view *view, const struct options *options, enum pass pass,
                       unsigned char *row, unsigned char *bits)
{
    const int layer = lua_gettop(L);
    if (pass >= BOXES) {
        if (lua_getfield(L, layer, "marks") == LUA_TTABLE && lua_rawgeti(L, -1, view->slice + 1) == LUA_TTABLE)
            draw_marks(L, view, pass);
        lua_settop(L, layer);
        return;
    }
    lua_getfield(L, layer, "truth");
    const int truth = lua_toboolean(L, -1);
    lua_settop(L, layer);
    if (pass == TINTS ? truth || options->opacity <= 0.0 : !truth && !options->contour)
        return;
    lua_getfield(L, layer, "mask");
    copy_pixels(msagen_tensor_check(L, lua_gettop(L)), view, 1, row, bits, view->canvas.width);
    int failed;
    if (truth)
        failed = msagen_overlay_truth(&view->canvas, bits);
    else {
        struct msagen_overlay_style style = {{0, 0, 0}, pass == TINTS ? options->opacity : 0.0, pass == LINES};
        lua_getfield(L, layer, "colour");
        luaL_checktype(L, -1, LUA_TTABLE);
        for (int i = 0; i < 3; ++i)
            style.colour[i] = (unsigned char)number_at(L, lua_gettop(L), i + 1);
        failed = msagen_overlay_mask(&view->canvas, bits, &style);
    }
    if (failed)
        msagen_fail(L, "overlay: out of memory");
    lua_settop(L, layer);
}

static struct options options_at(lua_State *L, int at)
{
    struct options options = {0.3, 1, 0, 1};
    if (lua_isnoneornil(L, at))
        return options;
    luaL_checktype(L, at, LUA_TTABLE);
    if (lua_getfield(L, at, "opacity") != LUA_TNIL)
        options.opacity = luaL_checknumber(L, -1);
    if (lua_getfield(L, at, "contour") != LUA_TNIL)
        options.contour = lua_toboolean(L, -1);
    lua_getfield(L, at, "numbers");
    options.numbers = lua_toboolean(L, -1);
    if (lua_getfield(L, at, "zoom") != LUA_TNIL)
        options.zoom = luaL_checkinteger(L, -1);
    luaL_argcheck(L, options.zoom >= 1 && options.zoom <= MAX_SHEET, at, "zoom of at least 1 expected");
    lua_pop(L, 4);
    return options;
}

/* The image is at 1, layers at 2. */
static void check_sizes(lua_State *L, const struct msagen_tensor *image)
{
    luaL_argcheck(L, image->dtype == MSAGEN_U8 && image->dims == 4 && image->shape[0] > 0 && image->shape[1] > 0 &&
                  image->shape[2] > 0 && image->shape[3] == 3, 1, "an image u8 [D,H,W,3] expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_Integer k = 1; k <= luaL_len(L, 2); ++k) {
        lua_rawgeti(L, 2, k);
        luaL_argcheck(L, lua_istable(L, -1), 2, "layers expected");
        lua_getfield(L, -1, "mask");
        const struct msagen_tensor *mask = msagen_tensor_check(L, lua_gettop(L));
        int fit = mask->dtype == MSAGEN_U8 && mask->dims == 3;
        for (int i = 0; fit && i < 3; ++i)
            fit = image->shape[i] == mask->shape[i];
        luaL_argcheck(L, fit, 2, "masks u8 [D,H,W] of the image's size expected");
        lua_pop(L, 2);
    }
}

static int draw(lua_State *L)
{
    const struct msagen_tensor *image = msagen_tensor_check(L, 1);
    check_sizes(L, image);
    const struct options options = options_at(L, 3);
    const int64_t slices = image->shape[0], height = image->shape[1] * options.zoom,
                  width = image->shape[2] * options.zoom;
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
    unsigned char *const bits = lua_newuserdatauv(L, (size_t)(height * width), 0),
                         *const row = lua_newuserdatauv(L, (size_t)image->shape[2] * 3, 0);
    const lua_Integer layers = luaL_len(L, 2);
    for (int64_t slice = 0; slice < slices; ++slice) {
        unsigned char *const corner =
            pixels + (size_t)(slice / columns * height) * stride + (size_t)(slice % columns * width) * 3;
        struct view view = {{corner, (size_t)width, (size_t)height, stride}, slice, (double)options.zoom};
        copy_pixels(image, &view, 3, row, corner, stride);
        for (lua_Integer k = 0; k < PASSES * layers; ++k) {
            lua_rawgeti(L, 2, k % layers + 1);
            draw_layer(L, &view, &options, (enum pass)(k / layers), row, bits);
            lua_pop(L, 1);
        }
        if (options.numbers)
            msagen_overlay_number(&view.canvas, (size_t)slice);
    }
    lua_pop(L, 2);
    return 1;
}

int luaopen_msagen_overlay(lua_State *L)
{
    static const luaL_Reg functions[] = {{"draw", draw}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

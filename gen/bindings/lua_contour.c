/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.contour: what shape a mask has; a pixel is inside where it is not 0.
 *   extent(u8 [N,H,W]) -> { pixels, first = {slice, row, column}, last = of each the end, centre }: see contour.h
 *   trace(u8 [N,H,W], slice from 0) -> { { outer, hole... } a region }, a polygon being {{x, y}...}
 *   paint(labels, or nil: all 0; mask u8 [N,H,W], value) -> labels u8 [N,H,W], changed: the value where the mask is
 *     inside
 *   classes(f32 [N,M,H,W]) -> u8 [N,H,W], 1 to M where a plane is above 0: the largest, of equal ones the first
 */
#include "contour.h"
#include "host.h"
#include "tensor.h"

int luaopen_msagen_contour(lua_State *L);

/* The bytes of a mask in C order. */
static const unsigned char *mask_at(lua_State *L, int at, const struct msagen_tensor **t)
{
    *t = msagen_tensor_check(L, at);
    luaL_argcheck(L, (*t)->dtype == MSAGEN_U8 && (*t)->dims == 3 && msagen_tensor_contiguous(*t), at,
                  "a mask u8 [N,H,W] expected");
    return (*t)->storage->data + (*t)->offset;
}

static int extent(lua_State *L)
{
    const struct msagen_tensor *t;
    const unsigned char *mask = mask_at(L, 1, &t);
    struct msagen_extent e;
    msagen_extent_of(mask, (size_t)t->shape[0], (size_t)t->shape[1], (size_t)t->shape[2], &e);
    lua_newtable(L);
    lua_pushinteger(L, e.pixels);
    lua_setfield(L, -2, "pixels");
    static const char *const names[] = {"first", "last", "centre"};
    for (int k = 0; k < 3; ++k) {
        lua_createtable(L, 3, 0);
        for (int axis = 0; axis < 3; ++axis) {
            if (k == 2)
                lua_pushnumber(L, e.centre[axis]);
            else
                lua_pushinteger(L, k ? e.end[axis] : e.first[axis]);
            lua_rawseti(L, -2, axis + 1);
        }
        lua_setfield(L, -2, names[k]);
    }
    return 1;
}

static int collect(lua_State *L)
{
    msagen_contours_free(lua_touserdata(L, 1));
    return 0;
}

static void push_polygon(lua_State *L, const struct msagen_contours *c, const struct msagen_polygon *p)
{
    lua_createtable(L, (int)p->count, 0);
    for (size_t i = 0; i < p->count; ++i) {
        lua_createtable(L, 2, 0);
        for (int k = 0; k < 2; ++k) {
            lua_pushinteger(L, c->points[p->first + i][k]);
            lua_rawseti(L, -2, k + 1);
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int trace(lua_State *L)
{
    const struct msagen_tensor *t;
    const unsigned char *mask = mask_at(L, 1, &t);
    const lua_Integer slice = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, slice >= 0 && slice < t->shape[0], 2, "a slice expected");
    const size_t height = (size_t)t->shape[1], width = (size_t)t->shape[2];
    luaL_argcheck(L, height * width < INT32_MAX, 1, "fewer pixels expected");
    /* Freed by the collector if an error passes by. */
    struct msagen_contours *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct msagen_contours){NULL, 0, NULL, 0};
    if (luaL_newmetatable(L, "msagen.contours")) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    if (msagen_contours_trace(mask + (size_t)slice * height * width, height, width, c) != 0)
        return msagen_fail(L, "contour: out of memory");
    lua_newtable(L);
    for (size_t i = 0; i < c->polygon_count; ++i) {
        const struct msagen_polygon *p = &c->polygons[i];
        if (p->hole)
            lua_rawgeti(L, -1, (lua_Integer)p->region + 1);
        else
            lua_newtable(L);
        push_polygon(L, c, p);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_rawseti(L, -2, (lua_Integer)p->region + 1);
    }
    return 1;
}

static int paint(lua_State *L)
{
    const struct msagen_tensor *labels, *t;
    const unsigned char *mask = mask_at(L, 2, &t);
    const lua_Integer value = luaL_checkinteger(L, 3);
    if (lua_isnil(L, 1)) {
        struct msagen_tensor *none = msagen_tensor_zeros("labels", MSAGEN_U8, 3, t->shape);
        if (!none)
            return msagen_fail(L, "labels: out of memory");
        msagen_tensor_push(L, none);
        lua_replace(L, 1);
    }
    const unsigned char *before = mask_at(L, 1, &labels);
    const int64_t count = msagen_tensor_numel(labels);
    for (int d = 0; d < 3; ++d)
        luaL_argcheck(L, labels->shape[d] == t->shape[d], 2, "the labels' shape expected");
    luaL_argcheck(L, value >= 0 && value <= 255, 3, "0 to 255 expected");
    unsigned char *const to = (unsigned char *)(uintptr_t)before;
    for (int64_t i = 0; i < count; ++i)
        if (mask[i])
            to[i] = (unsigned char)value;
    lua_settop(L, 1);
    return 1;
}

static int classes(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    luaL_argcheck(L, t->dtype == MSAGEN_F32 && t->dims == 4 && t->shape[1] <= 255, 1, "f32 [N,M,H,W] expected");
    const int64_t planes = t->shape[1], pixels = t->shape[2] * t->shape[3];
    struct msagen_tensor *labels = msagen_tensor_zeros("labels", MSAGEN_U8, 3,
                                                       (const int64_t[]){t->shape[0], t->shape[2], t->shape[3]});
    if (!labels)
        return msagen_fail(L, "labels: out of memory");
    msagen_tensor_push(L, labels);
    unsigned char *const to = (unsigned char *)(uintptr_t)labels->storage->data;
    float *plane = lua_newuserdatauv(L, 2 * (size_t)pixels * sizeof *plane, 0), *best = plane + pixels;
    for (int64_t s = 0; s < t->shape[0]; ++s) {
        for (int64_t i = 0; i < pixels; ++i)
            best[i] = 0.0f;
        for (int64_t m = 0; m < planes; ++m) {
            msagen_tensor_read_f32_range(t, (s * planes + m) * pixels, pixels, plane);
            for (int64_t i = 0; i < pixels; ++i)
                if (plane[i] > best[i]) {
                    best[i] = plane[i];
                    to[s * pixels + i] = (unsigned char)(m + 1);
                }
        }
    }
    lua_pop(L, 1);
    return 1;
}

int luaopen_msagen_contour(lua_State *L)
{
    static const luaL_Reg functions[] = {{"extent", extent}, {"trace", trace}, {"paint", paint}, {"classes", classes},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

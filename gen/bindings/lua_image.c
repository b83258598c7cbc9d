/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.image: read(path, bits = nil) -> u8 tensor [H,W,3], {notes}, EXIF orientation, whether it is grey;
 * brightest(u8 tensor) -> integer; write_png(path, tensor): see image.h; labels(path, or a tensor [H,W] or [N,H,W],
 * whether its bytes are numbers) -> i32 tensor of the same size, facts: see labels.h; inside(labels, {{low, high}...})
 * -> u8 tensor, 255 where a label is in a range, and how many are; overlap(a, b: u8 tensors of one size) -> elements
 * that are over 127 in both, the sum of those in each. */
#include "host.h"
#include "image.h"
#include "labels.h"

#include <string.h>

enum { ERROR_TEXT = 4096 };

static void push_lines(lua_State *L, const char *text)
{
    lua_newtable(L);
    for (lua_Integer i = 1; *text; ++i) {
        const char *end = strchr(text, '\n');
        lua_pushlstring(L, text, (size_t)(end - text));
        lua_rawseti(L, -2, i);
        text = end + 1;
    }
}

static int read(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_image_facts facts;
    const int bits = (int)luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, bits >= 0 && bits <= 16, 2, "0 to 16 expected");
    struct msagen_tensor *t = msagen_image_read(luaL_checkstring(L, 1), bits, &facts, error, sizeof error);
    if (!t)
        return msagen_fail(L, "%s", error);
    msagen_tensor_push(L, t);
    push_lines(L, facts.notes);
    lua_pushinteger(L, facts.orientation);
    lua_pushboolean(L, facts.grey);
    return 4;
}

static int brightest(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    luaL_argcheck(L, t->dtype == MSAGEN_U8, 1, "u8 expected");
    lua_pushinteger(L, (lua_Integer)msagen_image_brightest(t));
    return 1;
}

static int write_png(lua_State *L)
{
    char error[ERROR_TEXT];
    const char *path = luaL_checkstring(L, 1);
    if (msagen_image_write_png(path, msagen_tensor_check(L, 2), error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    return 0;
}

static void push_facts(lua_State *L, const struct msagen_labels *labels)
{
    static const char *const kinds[] = {"grey", "colour", "alpha", "numbers"};
    lua_newtable(L);
    lua_pushstring(L, kinds[labels->kind]);
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, labels->most);
    lua_setfield(L, -2, "most");
    lua_pushboolean(L, labels->lossy);
    lua_setfield(L, -2, "lossy");
    lua_pushboolean(L, labels->flat);
    lua_setfield(L, -2, "flat");
    lua_pushinteger(L, labels->orientation);
    lua_setfield(L, -2, "orientation");
    lua_pushinteger(L, labels->distinct);
    lua_setfield(L, -2, "distinct");
    lua_createtable(L, labels->listed, 0);
    for (int i = 0; i < labels->listed; ++i) {
        lua_createtable(L, 2, 0);
        lua_pushinteger(L, labels->list[i].label);
        lua_rawseti(L, -2, 1);
        lua_pushinteger(L, (lua_Integer)labels->list[i].count);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "list");
}

static int labels(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_labels found;
    struct msagen_tensor *t = lua_type(L, 1) == LUA_TSTRING
                                  ? msagen_labels_read(lua_tostring(L, 1), &found, error, sizeof error)
                                  : msagen_labels_of(msagen_tensor_check(L, 1), lua_toboolean(L, 2), &found, error,
                                                     sizeof error);
    if (!t)
        return msagen_fail(L, "%s", error);
    msagen_tensor_push(L, t);
    push_facts(L, &found);
    return 2;
}

static int inside(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    luaL_argcheck(L, t->dtype == MSAGEN_I32 && msagen_tensor_contiguous(t), 1, "labels expected");
    luaL_checktype(L, 2, LUA_TTABLE);
    const lua_Integer count = luaL_len(L, 2);
    struct msagen_label_range *ranges = lua_newuserdatauv(L, sizeof *ranges * ((size_t)count + 1), 0);
    for (lua_Integer i = 0; i < count; ++i) {
        lua_rawgeti(L, 2, i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        ranges[i] = (struct msagen_label_range){(int32_t)luaL_checkinteger(L, -2), (int32_t)luaL_checkinteger(L, -1)};
        lua_pop(L, 3);
    }
    int64_t pixels;
    struct msagen_tensor *mask = msagen_labels_inside(t, ranges, (size_t)count, &pixels);
    if (!mask)
        return msagen_fail(L, "%s: out of memory", t->name);
    msagen_tensor_push(L, mask);
    lua_pushinteger(L, pixels);
    return 2;
}

static int overlap(lua_State *L)
{
    const struct msagen_tensor *a = msagen_tensor_check(L, 1), *b = msagen_tensor_check(L, 2);
    luaL_argcheck(L, a->dtype == MSAGEN_U8 && b->dtype == MSAGEN_U8 && msagen_tensor_numel(a) == msagen_tensor_numel(b),
                  2, "two u8 tensors of one size expected");
    int64_t both, sum;
    msagen_labels_overlap(a, b, &both, &sum);
    lua_pushinteger(L, both);
    lua_pushinteger(L, sum);
    return 2;
}

int luaopen_msagen_image(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", read},     {"brightest", brightest}, {"write_png", write_png},
                                         {"labels", labels}, {"inside", inside},       {"overlap", overlap},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

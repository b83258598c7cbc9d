/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.clicks: where a person might click (clicks.h). Masks are u8 [H,W], non-zero is inside; a click is
 * { x, y, label }, x and y the pixel's column and row; numbers of the key are drawn from 0 on.
 *   pick(mask, key, value = nil) -> x, y: a pixel that has the value, nil: that is not 0; nothing where none is
 *   highest(mask) -> the largest value
 *   random(truth, key, others = {}, most = 64) -> { click... }
 *   iterative(truth, found, clicks, key) -> click, or nil where nothing is wrong
 *   wrong(truth, found, key) -> click
 *   found(logits f32 [h,w], H, W) -> mask, 255 where the enlarged logits are above 0 */
#include "clicks.h"
#include "host.h"
#include "tensor_internal.h"

#include <string.h>

/* The mask at `arg`, without a copy where that is possible. */
static const uint8_t *mask_of(lua_State *L, int arg, const struct msagen_tensor **t)
{
    *t = msagen_tensor_check(L, arg);
    luaL_argcheck(L, (*t)->dtype == MSAGEN_U8 && (*t)->dims == 2, arg, "u8 [H,W] expected");
    for (int k = 0; k < 2; ++k)
        if ((*t)->shape[k] < 1 || (*t)->shape[k] > MSAGEN_CLICKS_SIDE)
            msagen_fail(L, "%s: expected sides from 1 to %d pixels, found %lld", (*t)->name, MSAGEN_CLICKS_SIDE,
                        (long long)(*t)->shape[k]);
    if (msagen_tensor_contiguous(*t))
        return msagen_tensor_element(*t, 0);
    const int64_t n = msagen_tensor_numel(*t);
    uint8_t *const data = lua_newuserdatauv(L, (size_t)n, 0);
    msagen_tensor_read_raw(*t, 0, n, data);
    return data;
}

static const uint8_t *same_mask(lua_State *L, int arg, const struct msagen_tensor *as)
{
    const struct msagen_tensor *t;
    const uint8_t *const mask = mask_of(L, arg, &t);
    luaL_argcheck(L, t->shape[0] == as->shape[0] && t->shape[1] == as->shape[1], arg, "a mask of that size expected");
    return mask;
}

static struct msagen_draws draws_of(lua_State *L, int arg)
{
    return (struct msagen_draws){(uint64_t)luaL_checkinteger(L, arg), 0};
}

static void push_click(lua_State *L, const struct msagen_click *click)
{
    lua_createtable(L, 3, 0);
    lua_pushinteger(L, click->x);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, click->y);
    lua_rawseti(L, -2, 2);
    lua_pushinteger(L, click->label);
    lua_rawseti(L, -2, 3);
}

static int pick(lua_State *L)
{
    lua_settop(L, 3);
    const lua_Integer value = lua_isnil(L, 3) ? -1 : luaL_checkinteger(L, 3);
    luaL_argcheck(L, value <= 255 && (value >= 0 || lua_isnil(L, 3)), 3, "a byte expected");
    struct msagen_draws draws = draws_of(L, 2);
    const struct msagen_tensor *t;
    const uint8_t *const mask = mask_of(L, 1, &t);
    const int64_t at = msagen_pick(mask, (size_t)msagen_tensor_numel(t), (int)value, &draws);
    if (at < 0)
        return 0;
    lua_pushinteger(L, at % t->shape[1]);
    lua_pushinteger(L, at / t->shape[1]);
    return 2;
}

static int highest(lua_State *L)
{
    const struct msagen_tensor *t;
    const uint8_t *const mask = mask_of(L, 1, &t);
    const int64_t n = msagen_tensor_numel(t);
    uint8_t most = 0;
    for (int64_t i = 0; i < n; ++i)
        most = mask[i] > most ? mask[i] : most;
    lua_pushinteger(L, most);
    return 1;
}

static int random_clicks(lua_State *L)
{
    enum { OTHERS = 4096 };
    lua_settop(L, 4);
    struct msagen_draws draws = draws_of(L, 2);
    const lua_Integer most = luaL_optinteger(L, 4, MSAGEN_CLICKS_MOST);
    luaL_argcheck(L, most >= 1 && most <= MSAGEN_CLICKS_MOST, 4, "1 to 64 expected");
    lua_Unsigned count = 0;
    if (!lua_isnil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        count = lua_rawlen(L, 3);
        luaL_argcheck(L, count <= OTHERS, 3, "at most 4096 masks expected");
    }
    luaL_checkstack(L, 2 * (int)count + 8, "masks of other objects");
    const struct msagen_tensor *t;
    const uint8_t *const mask = mask_of(L, 1, &t);
    const uint8_t **const others = lua_newuserdatauv(L, (size_t)count * sizeof *others + 1, 0);
    for (lua_Unsigned k = 0; k < count; ++k) {
        lua_rawgeti(L, 3, (lua_Integer)k + 1);
        others[k] = same_mask(L, lua_gettop(L), t);
    }
    const struct msagen_clicks_truth truth = {mask, (size_t)t->shape[0], (size_t)t->shape[1], others, (size_t)count};
    struct msagen_click found[MSAGEN_CLICKS_MOST];
    const int made = msagen_clicks_random(&truth, &draws, found, (int)most);
    if (made < 0)
        return msagen_fail(L, "%s: out of memory", t->name);
    lua_createtable(L, made, 0);
    for (int k = 0; k < made; ++k) {
        push_click(L, &found[k]);
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

/* Click k of the list at `arg`, which lies within the mask. */
static struct msagen_click click_at(lua_State *L, int arg, lua_Integer k, const struct msagen_tensor *t)
{
    int64_t at[2];
    lua_rawgeti(L, arg, k);
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int i = 0; i < 2; ++i) {
        lua_rawgeti(L, -1, i + 1);
        at[i] = luaL_checkinteger(L, -1);
        luaL_argcheck(L, at[i] >= 0 && at[i] < t->shape[1 - i], arg, "clicks within the mask expected");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return (struct msagen_click){at[0], at[1], 0};
}

static int iterative(lua_State *L)
{
    lua_settop(L, 4);
    struct msagen_draws draws = draws_of(L, 4);
    luaL_checktype(L, 3, LUA_TTABLE);
    const lua_Unsigned count = lua_rawlen(L, 3);
    luaL_argcheck(L, count <= 1 << 20, 3, "fewer clicks expected");
    const struct msagen_tensor *t;
    const uint8_t *const truth = mask_of(L, 1, &t), *const found = same_mask(L, 2, t);
    struct msagen_click *const earlier = lua_newuserdatauv(L, (size_t)count * sizeof *earlier + 1, 0);
    for (lua_Unsigned k = 0; k < count; ++k)
        earlier[k] = click_at(L, 3, (lua_Integer)k + 1, t);
    struct msagen_click next;
    const int made = msagen_click_iterative(truth, found, (size_t)t->shape[0], (size_t)t->shape[1], earlier,
                                            (size_t)count, &draws, &next);
    if (made < 0)
        return msagen_fail(L, "%s: out of memory", t->name);
    if (made == 0)
        return 0;
    push_click(L, &next);
    return 1;
}

static int wrong(lua_State *L)
{
    lua_settop(L, 3);
    struct msagen_draws draws = draws_of(L, 3);
    const struct msagen_tensor *t;
    const uint8_t *const truth = mask_of(L, 1, &t), *const found = same_mask(L, 2, t);
    struct msagen_click next;
    msagen_click_wrong(truth, found, (size_t)t->shape[0], (size_t)t->shape[1], &draws, &next);
    push_click(L, &next);
    return 1;
}

static int found(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const lua_Integer height = luaL_checkinteger(L, 2), width = luaL_checkinteger(L, 3);
    luaL_argcheck(L, t->dtype == MSAGEN_F32 && t->dims == 2 && t->shape[0] > 0 && t->shape[1] > 0, 1,
                  "f32 [h,w] expected");
    luaL_argcheck(L, height >= 1 && height <= MSAGEN_CLICKS_SIDE, 2, "1 to 16384 pixels expected");
    luaL_argcheck(L, width >= 1 && width <= MSAGEN_CLICKS_SIDE, 3, "1 to 16384 pixels expected");
    float *const logits = lua_newuserdatauv(L, (size_t)msagen_tensor_numel(t) * sizeof *logits, 0);
    msagen_tensor_read_f32(t, logits);
    struct msagen_tensor *mask = msagen_tensor_zeros(t->name, MSAGEN_U8, 2, (int64_t[]){height, width});
    if (!mask)
        return msagen_fail(L, "%s: out of memory", t->name);
    msagen_clicks_found(logits, (size_t)t->shape[0], (size_t)t->shape[1], (size_t)height, (size_t)width,
                        msagen_tensor_writable(mask));
    msagen_tensor_push(L, mask);
    return 1;
}

int luaopen_msagen_clicks(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pick", pick},   {"random", random_clicks}, {"iterative", iterative},
                                         {"wrong", wrong}, {"found", found},          {"highest", highest},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

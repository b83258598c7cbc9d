/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.metrics: how well a mask is another.
 *   compare(pred, truth, spacing, tolerance = 1) -> { pred_pixels, truth_pixels, both_pixels, pred_border,
 *     truth_border, dice, iou, dice_msa, iou_msa, hd95_pooled, hd95_max, hd95_area, hd, assd, surface_dice,
 *     surface_dice_area }: u8 tensors [H,W] or [D,H,W], non-zero is inside; spacing: mm of each axis; nil where
 *     undefined
 *   click(truth, pred = nil) -> nil, or { x, y, label, squared_distance, component_pixels }: u8 [H,W], non-zero is
 *     inside
 *   msa_eval(logits, truth, "msa-2023" or "msa-2025") -> { iou, dice }: f32 tensors [n,H,W] */
#include "host.h"
#include "metrics.h"
#include "runner/msa_run_clicks.h"
#include "tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int same_shape(const struct msagen_tensor *a, const struct msagen_tensor *b)
{
    return a->dims == b->dims && memcmp(a->shape, b->shape, (size_t)a->dims * sizeof *a->shape) == 0;
}

/* A tensor's elements, in memory that Lua frees. */
static void *elements(lua_State *L, const struct msagen_tensor *t)
{
    const int64_t n = msagen_tensor_numel(t);
    void *const data = lua_newuserdatauv(L, (size_t)n * msagen_dtype_bytes(t->dtype) + 1, 0);
    msagen_tensor_read_raw(t, 0, n, data);
    return data;
}

/* Those of a mask, without a copy where that is possible. */
static const uint8_t *mask_of(lua_State *L, const struct msagen_tensor *t)
{
    return msagen_tensor_contiguous(t) ? t->storage->data + t->offset : elements(L, t);
}

static void set_number(lua_State *L, const char *name, double value)
{
    if (isnan(value))
        return;
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void read_spacing(lua_State *L, int arg, int count, double *spacing)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    luaL_argcheck(L, luaL_len(L, arg) == count, arg, "a number for each axis expected");
    for (int k = 0; k < count; ++k) {
        lua_rawgeti(L, arg, k + 1);
        spacing[k] = lua_tonumber(L, -1);
        lua_pop(L, 1);
        if (!(spacing[k] >= MSAGEN_METRICS_SPACING_LEAST && spacing[k] <= MSAGEN_METRICS_SPACING_MOST))
            msagen_fail(L, "spacing: expected millimetres from %g to %g, found %.14g", MSAGEN_METRICS_SPACING_LEAST,
                        MSAGEN_METRICS_SPACING_MOST, spacing[k]);
    }
}

static int compare(lua_State *L)
{
    const struct msagen_tensor *pred = msagen_tensor_check(L, 1), *truth = msagen_tensor_check(L, 2);
    double spacing[3];
    const double tolerance = luaL_optnumber(L, 4, 1.0);
    luaL_argcheck(L, pred->dtype == MSAGEN_U8 && truth->dtype == MSAGEN_U8, 1, "u8 expected");
    luaL_argcheck(L, pred->dims == 2 || pred->dims == 3, 1, "[H,W] or [D,H,W] expected");
    luaL_argcheck(L, same_shape(pred, truth), 2, "a tensor of the same shape expected");
    read_spacing(L, 3, pred->dims, spacing);
    for (int k = 0; k < pred->dims; ++k)
        if (pred->shape[k] < 1 || pred->shape[k] > MSAGEN_METRICS_SIDE)
            return msagen_fail(L, "%s: expected sides from 1 to %d pixels, found %lld", pred->name, MSAGEN_METRICS_SIDE,
                               (long long)pred->shape[k]);
    struct msagen_metrics m;
    if (msagen_metrics_compare(mask_of(L, pred), mask_of(L, truth), pred->dims, pred->shape, spacing, tolerance, &m))
        return msagen_fail(L, "%s: out of memory", pred->name);
    lua_createtable(L, 0, 16);
    set_integer(L, "pred_pixels", m.pred_pixels);
    set_integer(L, "truth_pixels", m.truth_pixels);
    set_integer(L, "both_pixels", m.both_pixels);
    set_integer(L, "pred_border", m.pred_border);
    set_integer(L, "truth_border", m.truth_border);
    set_number(L, "dice", m.dice);
    set_number(L, "iou", m.iou);
    set_number(L, "dice_msa", m.dice_msa);
    set_number(L, "iou_msa", m.iou_msa);
    set_number(L, "hd95_pooled", m.hd95_pooled);
    set_number(L, "hd95_max", m.hd95_max);
    set_number(L, "hd95_area", m.hd95_area);
    set_number(L, "hd", m.hd);
    set_number(L, "assd", m.assd);
    set_number(L, "surface_dice", m.surface_dice);
    set_number(L, "surface_dice_area", m.surface_dice_area);
    return 1;
}

static int click(lua_State *L)
{
    const struct msagen_tensor *truth = msagen_tensor_check(L, 1);
    const struct msagen_tensor *pred = lua_isnoneornil(L, 2) ? NULL : msagen_tensor_check(L, 2);
    luaL_argcheck(L, truth->dtype == MSAGEN_U8 && truth->dims == 2, 1, "u8 [H,W] expected");
    luaL_argcheck(L, !pred || (pred->dtype == MSAGEN_U8 && same_shape(pred, truth)), 2, "a like tensor expected");
    for (int k = 0; k < 2; ++k)
        if (truth->shape[k] < 1 || truth->shape[k] > (int64_t)MSA_RUN_CLICKS_SIDE)
            return msagen_fail(L, "%s: expected sides from 1 to %d pixels, found %lld", truth->name,
                               (int)MSA_RUN_CLICKS_SIDE, (long long)truth->shape[k]);
    const uint32_t height = (uint32_t)truth->shape[0], width = (uint32_t)truth->shape[1];
    const uint8_t *const is = mask_of(L, truth), *const found = pred ? mask_of(L, pred) : NULL;
    const size_t pixels = (size_t)width * height;
    uint8_t *const errors = lua_newuserdatauv(L, pixels, 0);
    for (size_t i = 0; i < pixels; ++i) {
        const int there = found && found[i];
        errors[i] = !is[i] == !there ? MSA_RUN_RIGHT : is[i] ? MSA_RUN_MISSED : MSA_RUN_EXCESS;
    }
    msa_run_click next;
    if (!msa_run_next_click(errors, width, height, lua_newuserdatauv(L, msa_run_clicks_bytes(width, height), 0), &next))
        return 0;
    lua_createtable(L, 0, 5);
    set_number(L, "x", next.x + 0.5);
    set_number(L, "y", next.y + 0.5);
    set_integer(L, "label", next.inside);
    set_integer(L, "squared_distance", next.depth);
    set_integer(L, "component_pixels", next.pixels);
    return 1;
}

static int msa_eval(lua_State *L)
{
    static const char *const versions[] = {"msa-2023", "msa-2025", NULL};
    const struct msagen_tensor *logits = msagen_tensor_check(L, 1), *truth = msagen_tensor_check(L, 2);
    const int version = luaL_checkoption(L, 3, NULL, versions);
    luaL_argcheck(L, logits->dtype == MSAGEN_F32 && logits->dims == 3 && logits->shape[0] > 0, 1,
                  "f32 [n,H,W] expected");
    luaL_argcheck(L, truth->dtype == MSAGEN_F32 && same_shape(logits, truth), 2, "a like tensor expected");
    double iou, dice;
    msagen_metrics_msa(elements(L, logits), elements(L, truth), (size_t)logits->shape[0],
                       (size_t)(logits->shape[1] * logits->shape[2]), version ? MSAGEN_MSA_2025 : MSAGEN_MSA_2023, &iou,
                       &dice);
    lua_createtable(L, 0, 2);
    set_number(L, "iou", iou);
    set_number(L, "dice", dice);
    return 1;
}

int luaopen_msagen_metrics(lua_State *L)
{
    static const luaL_Reg functions[] = {{"compare", compare}, {"click", click}, {"msa_eval", msa_eval}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

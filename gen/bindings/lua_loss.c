/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.loss: the losses of training (runtime/train/msa_loss.h) on tensors.
 *   of(class) -> { arithmetic =, value = function }     a class of arithmetic, or "float64"
 *   value { logits = [M,s,s], target = u8 or f32 [T,T], [1,T,T] or one plane for each mask that takes part,
 *           rule = { kind = "bce", pos_weight = 1 } | { kind = "dicece", cross_entropy = "none" | "binary" } |
 *             { kind = "sam", focal = 20, dice = 1, iou = 1 },
 *           iou = [M], which "sam" needs; first = 0, count = M: masks that take part; weight = 1 of the gradients }
 *     -> { value, dlogits = [M,s,s], diou = [M] where iou was given, chosen: the mask that is trained, from 0,
 *          masks = { { cross, dice, iou }, ... } of those that take part }
 * Tensors are of f32 or, of float64, of f64. */
#include "host.h"
#include "tensor.h"
#include "training.h"

#include <math.h>
#include <string.h>

static const struct msagen_training *of_class(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* The tensor of a field of the argument; it stays on the stack. NULL where there is none and that is allowed. */
static const struct msagen_tensor *tensor_field(lua_State *L, const char *name, int needed)
{
    if (lua_getfield(L, 1, name) == LUA_TNIL && !needed)
        return NULL;
    if (!luaL_testudata(L, -1, "msagen.tensor"))
        msagen_fail(L, "loss: %s: expected a tensor, found %s", name, luaL_typename(L, -1));
    return msagen_tensor_check(L, lua_gettop(L));
}

/* Its elements as the class has them, in memory that Lua frees. */
static void *elements(lua_State *L, const struct msagen_tensor *t)
{
    const int is_double = of_class(L)->bytes == sizeof(double);
    const int64_t n = msagen_tensor_numel(t);
    void *const data = lua_newuserdatauv(L, ((size_t)n + 1) * of_class(L)->bytes, 0);
    if (is_double)
        msagen_tensor_read_f64_range(t, 0, n, data);
    else
        msagen_tensor_read_f32(t, data);
    return data;
}

static double number_field(lua_State *L, int at, const char *name, double otherwise)
{
    double value = otherwise;
    if (lua_getfield(L, at, name) != LUA_TNIL) {
        int is_number;
        value = lua_tonumberx(L, -1, &is_number);
        if (!is_number)
            msagen_fail(L, "loss: %s: expected a number, found %s", name, luaL_typename(L, -1));
    }
    lua_pop(L, 1);
    return value;
}

static void check_range(lua_State *L, const char *name, double value, int above)
{
    if (!(value >= 0.0 && value <= 1048576.0) || (above && !(value > 0.0)))
        msagen_fail(L, "loss: %s: expected a number %s 0 to 1048576, found %.14g", name, above ? "above" : "from",
            value);
}

static void read_rule(lua_State *L, msa_loss_rule *rule)
{
    static const char *const kinds[] = {"bce", "dicece", "sam"};
    if (lua_getfield(L, 1, "rule") != LUA_TTABLE)
        msagen_fail(L, "loss: rule: expected a table, found %s", luaL_typename(L, -1));
    const int at = lua_gettop(L);
    lua_getfield(L, at, "kind");
    const char *kind = lua_tostring(L, -1);
    size_t k = 0;
    while (k < 3 && (!kind || strcmp(kind, kinds[k]) != 0))
        ++k;
    if (k == 3)
        msagen_fail(L, "loss: kind: expected bce, dicece or sam, found %s", kind ? kind : luaL_typename(L, -1));
    lua_pop(L, 1);
    memset(rule, 0, sizeof *rule);
    rule->kind = (msa_loss_kind)k;
    rule->pos_weight = number_field(L, at, "pos_weight", 1.0);
    rule->focal = number_field(L, at, "focal", 20.0);
    rule->dice = number_field(L, at, "dice", 1.0);
    rule->iou = number_field(L, at, "iou", 1.0);
    check_range(L, "pos_weight", rule->pos_weight, 1);
    check_range(L, "focal", rule->focal, 0);
    check_range(L, "dice", rule->dice, 0);
    check_range(L, "iou", rule->iou, 0);
    lua_getfield(L, at, "cross_entropy");
    const char *cross = lua_tostring(L, -1);
    rule->binary = cross && strcmp(cross, "binary") == 0;
    if (rule->kind == MSA_LOSS_DICECE && !rule->binary && (!cross || strcmp(cross, "none") != 0))
        msagen_fail(L, "loss: cross_entropy: expected none or binary, found %s", cross ? cross : luaL_typename(L, -1));
    lua_pop(L, 2);
}

static void read_target(lua_State *L, msa_loss_input *in)
{
    const struct msagen_tensor *t = tensor_field(L, "target", 1);
    const int64_t side = t->dims > 0 ? t->shape[t->dims - 1] : 0, planes = t->dims == 3 ? t->shape[0] : 1;
    if (t->dims < 2 || t->dims > 3 || t->shape[t->dims - 2] != side || side < 1 || side > (int64_t)MSA_MAX_SIDE
        || (planes != 1 && planes != in->count))
        msagen_fail(L, "loss: target: expected [T,T], [1,T,T] or [%d,T,T], found another shape", (int)in->count);
    if (t->dtype != MSAGEN_U8 && t->dtype != MSAGEN_F32)
        msagen_fail(L, "loss: target: expected u8 or f32, found %s", msagen_dtype_name(t->dtype));
    const int64_t n = msagen_tensor_numel(t);
    void *const data = lua_newuserdatauv(L, (size_t)n * msagen_dtype_bytes(t->dtype) + 1, 0);
    msagen_tensor_read_raw(t, 0, n, data);
    in->target.bytes = t->dtype == MSAGEN_U8 ? data : NULL;
    in->target.shares = t->dtype == MSAGEN_F32 ? data : NULL;
    in->target.masks = (uint32_t)planes;
    in->target.side = (uint32_t)side;
}

static uint32_t count_field(lua_State *L, const char *name, uint32_t otherwise, double least, double most)
{
    const double value = number_field(L, 1, name, otherwise);
    if (!(value >= least && value <= most) || floor(value) != value)
        msagen_fail(L, "loss: %s: expected a whole number from %.14g to %.14g, found %.14g", name, least, most, value);
    return (uint32_t)value;
}

/* A new tensor of the class on the stack; its elements. */
static void *result(lua_State *L, const struct msagen_tensor *like)
{
    struct msagen_tensor *t = msagen_tensor_zeros("loss",
        of_class(L)->bytes == sizeof(double) ? MSAGEN_F64 : MSAGEN_F32, like->dims, like->shape);
    if (!t)
        msagen_fail(L, "loss: out of memory");
    msagen_tensor_push(L, t);
    return (void *)(uintptr_t)t->storage->data;
}

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void push_masks(lua_State *L, const msa_loss *loss, uint32_t count)
{
    lua_createtable(L, (int)count, 0);
    for (uint32_t k = 0; k < count; ++k) {
        lua_createtable(L, 0, 3);
        set_number(L, "cross", loss->masks[k].cross);
        set_number(L, "dice", loss->masks[k].dice);
        set_number(L, "iou", loss->masks[k].iou);
        lua_rawseti(L, -2, (lua_Integer)k + 1);
    }
}

static void check_status(lua_State *L, msa_status status)
{
    if (status == MSA_E_TARGET)
        msagen_fail(L, "loss: target: expected bytes 0 and 1, or floats from 0 to 1, found others");
    if (status == MSA_E_NAN)
        msagen_fail(L, "loss: expected logits and predicted IoU below 2^60, found NaN, infinity or larger ones");
    if (status != MSA_OK)
        msagen_fail(L, "loss: status %d", (int)status);
}

static int value(lua_State *L)
{
    const struct msagen_training *class = of_class(L);
    msa_loss_input in = {.weight = 1.0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    read_rule(L, &in.rule);
    const struct msagen_tensor *logits = tensor_field(L, "logits", 1);
    if (logits->dims != 3 || logits->shape[1] != logits->shape[2] || logits->shape[0] < 1 || logits->shape[0] > 64
        || logits->shape[1] < 1 || logits->shape[1] > (int64_t)MSA_MAX_SIDE)
        return msagen_fail(L, "loss: logits: expected [M,s,s] of 1 to 64 masks, found another shape");
    in.masks = (uint32_t)logits->shape[0];
    in.side = (uint32_t)logits->shape[1];
    in.first = count_field(L, "first", 0, 0.0, in.masks - 1.0);
    in.count = count_field(L, "count", in.masks - in.first, 1.0, in.masks - in.first);
    in.weight = number_field(L, 1, "weight", 1.0);
    check_range(L, "weight", in.weight, 0);
    read_target(L, &in);
    const struct msagen_tensor *iou = tensor_field(L, "iou", in.rule.kind == MSA_LOSS_SAM);
    if (iou && msagen_tensor_numel(iou) != in.masks)
        return msagen_fail(L, "loss: iou: expected %d numbers, found another shape", (int)in.masks);
    const void *const from = elements(L, logits), *const predicted = iou ? elements(L, iou) : NULL;
    const size_t bytes = class->loss_work(in.side, in.target.side, in.count);
    void *const work = lua_newuserdatauv(L, bytes, 0);
    void *const dlogits = result(L, logits);
    const int at = lua_gettop(L);
    void *const diou = iou ? result(L, iou) : NULL;
    msa_loss loss;
    check_status(L, class->loss(&in, from, predicted, work, bytes, dlogits, diou, &loss));
    lua_createtable(L, 0, 5);
    set_number(L, "value", loss.value);
    lua_pushvalue(L, at);
    lua_setfield(L, -2, "dlogits");
    if (iou) {
        lua_pushvalue(L, at + 1);
        lua_setfield(L, -2, "diou");
    }
    lua_pushinteger(L, (lua_Integer)loss.chosen);
    lua_setfield(L, -2, "chosen");
    push_masks(L, &loss, in.count);
    lua_setfield(L, -2, "masks");
    return 1;
}

/* loss.of(class) */
static int of(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const struct msagen_training *class = msagen_training_of(name);
    if (!class)
        return msagen_fail(L, "arithmetic: expected f32-fma-1, f32-muladd-1 or float64, found %s", name);
    lua_createtable(L, 0, 2);
    lua_pushlightuserdata(L, (void *)(uintptr_t)class);
    lua_pushcclosure(L, value, 1);
    lua_setfield(L, -2, "value");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "arithmetic");
    return 1;
}

int luaopen_msagen_loss(lua_State *L)
{
    static const luaL_Reg functions[] = {{"of", of}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

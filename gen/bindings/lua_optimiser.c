/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.optimiser: the optimiser of training and the sums of gradients over a batch (runtime/train/msa_optimiser.h,
 * msa_gradient.h) on tensors.
 *   of(class) -> { arithmetic =, update = function, add = function }     a class of arithmetic, or "float64"
 *   update({ kind = "adam" | "adamw", lr =, betas = {b1, b2}, eps =, decay = 0, clip = nil }, done, list [, scale])
 *     done   steps before this one
 *     list   { { value =, gradient =, first =, second =, decays = false }, ... }: tensors alike in shape
 *     scale  of all gradients, above 0 to 1: 1 / images of the batch
 *     -> { { value =, first =, second = }, ... }, norm of the scaled gradients before clipping
 *   add(left, right) -> left + right
 *   merges(lo, first [, level]), blocks(lo, hi) -> { { first =, level = }, ... }, depth(lo, hi): as msa_gradient.h has
 *     them, of images from 0
 * Tensors are of f32 or, of float64, of f64. */
#include "host.h"
#include "tensor.h"
#include "training.h"

#include <string.h>

static const struct msagen_training *of_class(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static double number_field(lua_State *L, int at, const char *name, double otherwise)
{
    int is_number = 1;
    const double value = lua_getfield(L, at, name) == LUA_TNIL ? otherwise : lua_tonumberx(L, -1, &is_number);
    if (!is_number)
        msagen_fail(L, "optimiser: %s: expected a number, found %s", name, luaL_typename(L, -1));
    lua_pop(L, 1);
    return value;
}

static double beta(lua_State *L, int at, lua_Integer which)
{
    int is_number = 0;
    double value = 0.0;
    if (lua_getfield(L, at, "betas") == LUA_TTABLE) {
        lua_rawgeti(L, -1, which);
        value = lua_tonumberx(L, -1, &is_number);
    }
    if (!is_number || !(value >= 0.0 && value <= 1.0 - 0x1p-24))
        msagen_fail(L, "optimiser: betas: expected two numbers from 0 to below 1, found others");
    lua_settop(L, at);
    return value;
}

static void check_range(lua_State *L, const char *name, double value, double least, double most)
{
    if (!(value >= least && value <= most))
        msagen_fail(L, "optimiser: %s: expected a number from %.14g to %.14g, found %.14g", name, least, most, value);
}

/* Of the table on top. */
static void read_rule(lua_State *L, msa_optimiser *rule)
{
    const int at = lua_gettop(L);
    lua_getfield(L, at, "kind");
    const char *kind = lua_tostring(L, -1);
    if (!kind || (strcmp(kind, "adam") != 0 && strcmp(kind, "adamw") != 0))
        msagen_fail(L, "optimiser: kind: expected adam or adamw, found %s", kind ? kind : luaL_typename(L, -1));
    rule->kind = strcmp(kind, "adam") == 0 ? MSA_ADAM : MSA_ADAMW;
    lua_settop(L, at);
    rule->lr = number_field(L, at, "lr", -1.0);
    rule->beta1 = beta(L, at, 1);
    rule->beta2 = beta(L, at, 2);
    rule->eps = number_field(L, at, "eps", -1.0);
    rule->decay = number_field(L, at, "decay", 0.0);
    rule->clip = 0.0;
    check_range(L, "lr", rule->lr, 0.0, 1024.0);
    check_range(L, "eps", rule->eps, 1e-30, 1.0);
    check_range(L, "decay", rule->decay, 0.0, 1024.0);
    if (lua_getfield(L, at, "clip") != LUA_TNIL) {
        lua_pop(L, 1);
        rule->clip = number_field(L, at, "clip", 0.0);
        check_range(L, "clip", rule->clip, 1e-30, 1e30);
    }
    lua_settop(L, at);
}

/* The tensor of a field of the table at `at`, of `count` elements or, where that is below 0, any. It stays on the
 * stack. */
static const struct msagen_tensor *tensor_field(lua_State *L, int at, const char *name, int64_t count)
{
    lua_getfield(L, at, name);
    if (!luaL_testudata(L, -1, "msagen.tensor"))
        msagen_fail(L, "optimiser: %s: expected a tensor, found %s", name, luaL_typename(L, -1));
    const struct msagen_tensor *t = msagen_tensor_check(L, lua_gettop(L));
    if (count >= 0 && msagen_tensor_numel(t) != count)
        msagen_fail(L, "optimiser: %s: expected %lld elements, found %lld", name, (long long)count,
            (long long)msagen_tensor_numel(t));
    return t;
}

/* A new tensor of the class with these elements, on the stack; its own elements. */
static void *copy_of(lua_State *L, const struct msagen_tensor *t)
{
    const int is_double = of_class(L)->bytes == sizeof(double);
    struct msagen_tensor *made = msagen_tensor_zeros(t->name, is_double ? MSAGEN_F64 : MSAGEN_F32, t->dims, t->shape);
    if (!made)
        msagen_fail(L, "optimiser: out of memory");
    msagen_tensor_push(L, made);
    void *const data = (void *)(uintptr_t)made->storage->data;
    if (is_double)
        msagen_tensor_read_f64_range(t, 0, msagen_tensor_numel(t), data);
    else
        msagen_tensor_read_f32(t, data);
    return data;
}

/* Entry `i` of the list at 3, as a copy whose tensors are fields of a new table, entry `i` of the one at `into`. */
static struct msagen_trained trained(lua_State *L, lua_Integer i, int into)
{
    static const char *const names[] = {"value", "first", "second", "gradient"};
    void *data[4];
    const int top = lua_gettop(L), at = top + 1;
    if (lua_rawgeti(L, 3, i) != LUA_TTABLE)
        msagen_fail(L, "optimiser: entry %d: expected a table, found %s", (int)i, luaL_typename(L, -1));
    const int64_t count = msagen_tensor_numel(tensor_field(L, at, "value", -1));
    lua_createtable(L, 0, 4);
    const int made = lua_gettop(L);
    for (int k = 0; k < 4; ++k) {
        data[k] = copy_of(L, tensor_field(L, at, names[k], count));
        lua_setfield(L, made, names[k]);
        lua_settop(L, made);
    }
    lua_rawseti(L, into, i);
    lua_getfield(L, at, "decays");
    const int decays = lua_toboolean(L, -1);
    lua_settop(L, top);
    return (struct msagen_trained){data[0], data[3], data[1], data[2], (size_t)count, decays};
}

static int update(lua_State *L)
{
    msa_optimiser rule;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    const lua_Integer done = luaL_checkinteger(L, 2);
    const double scale = luaL_optnumber(L, 4, 1.0);
    luaL_argcheck(L, done >= 0, 2, "steps from 0 on expected");
    luaL_argcheck(L, scale > 0.0 && scale <= 1.0, 4, "above 0 to 1 expected");
    lua_settop(L, 3);
    lua_pushvalue(L, 1);
    read_rule(L, &rule);
    const lua_Integer count = (lua_Integer)lua_rawlen(L, 3);
    lua_createtable(L, (int)count, 0);
    const int into = lua_gettop(L);
    struct msagen_trained *list = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *list, 0);
    for (lua_Integer i = 1; i <= count; ++i)
        list[i - 1] = trained(L, i, into);
    double norm = 0.0;
    const msa_status status = of_class(L)->optimise(&rule, (uint64_t)done, list, (size_t)count, scale, &norm);
    if (status == MSA_E_NAN)
        return msagen_fail(L, "optimiser: expected gradients below 2^60, found NaN, infinity or larger ones");
    if (status != MSA_OK)
        return msagen_fail(L, "optimiser: status %d", (int)status);
    lua_pushvalue(L, into);
    for (lua_Integer i = 1; i <= count; ++i) {
        lua_rawgeti(L, into, i);
        lua_pushnil(L);
        lua_setfield(L, -2, "gradient");
        lua_pop(L, 1);
    }
    lua_pushnumber(L, norm);
    return 2;
}

static int add(lua_State *L)
{
    const struct msagen_tensor *left = msagen_tensor_check(L, 1), *right = msagen_tensor_check(L, 2);
    luaL_argcheck(L, msagen_tensor_numel(left) == msagen_tensor_numel(right), 2, "as many elements expected");
    const void *const top = copy_of(L, right);
    void *const below = copy_of(L, left);
    of_class(L)->add(below, top, (size_t)msagen_tensor_numel(left));
    return 1;
}

static uint32_t image(lua_State *L, int arg)
{
    const lua_Integer i = luaL_checkinteger(L, arg);
    luaL_argcheck(L, i >= 0 && i <= (lua_Integer)MSA_TREE_IMAGES, arg, "an image expected");
    return (uint32_t)i;
}

static int merges(lua_State *L)
{
    const lua_Integer level = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, level >= 0 && level < 32, 3, "a level expected");
    const msa_tree_block block = {image(L, 2), (uint32_t)level};
    lua_pushinteger(L, (lua_Integer)msagen_training_fma.merges(image(L, 1), block));
    return 1;
}

static int blocks(lua_State *L)
{
    msa_tree_block list[MSA_TREE_BLOCKS];
    const uint32_t count = msagen_training_fma.blocks(image(L, 1), image(L, 2), list);
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; ++i) {
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, (lua_Integer)list[i].first);
        lua_setfield(L, -2, "first");
        lua_pushinteger(L, (lua_Integer)list[i].level);
        lua_setfield(L, -2, "level");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int depth(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)msagen_training_fma.depth(image(L, 1), image(L, 2)));
    return 1;
}

/* optimiser.of(class) */
static int of(lua_State *L)
{
    static const luaL_Reg functions[] = {{"update", update}, {"add", add}, {NULL, NULL}};
    const char *name = luaL_checkstring(L, 1);
    const struct msagen_training *class = msagen_training_of(name);
    if (!class)
        return msagen_fail(L, "arithmetic: expected f32-fma-1, f32-muladd-1 or float64, found %s", name);
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, (void *)(uintptr_t)class);
    luaL_setfuncs(L, functions, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "arithmetic");
    return 1;
}

int luaopen_msagen_optimiser(lua_State *L)
{
    static const luaL_Reg functions[] = {{"of", of}, {"merges", merges}, {"blocks", blocks}, {"depth", depth},
        {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

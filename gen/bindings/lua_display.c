/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.display: stored numbers [N,...] as modality values and as grey (display.h).
 *
 *   grey(t, rules) -> u8 tensor of t's shape
 *   modality(t, rules) -> f64 tensor of t's shape
 *   range(t, rules, from, to) -> least and largest modality value of what is not stored as from..to; nil where nothing
 *                                is left. Without from: of all.
 *
 * rules: one for each of the N, or one for all: { slope =, intercept =, table = {first =, entries = }, kind =
 * "range"|"LINEAR"|"LINEAR_EXACT"|"SIGMOID"|"table", a =, b = (low and high; centre and width), voi = {first =, bits =,
 * entries =}, inverted = }. What a function does not use may be missing. */
#include "display.h"
#include "host.h"

#include <math.h>


struct rule {
    struct msagen_modality modality;
    struct msagen_voi voi;
};

static double number_field(lua_State *L, int table, const char *name, double otherwise)
{
    lua_getfield(L, table, name);
    const double x = luaL_optnumber(L, -1, otherwise);
    lua_pop(L, 1);
    return x;
}

/* The table at field `name`, if there is one, and its largest entry, where `most` is no NULL. Its entries stay on the
 * stack as a userdata. */
static struct msagen_table table_field(lua_State *L, int rule, const char *name, double *most)
{
    struct msagen_table t = {0};
    if (lua_getfield(L, rule, name) != LUA_TTABLE) {
        lua_pop(L, 1);
        return t;
    }
    const int at = lua_gettop(L);
    t.first = number_field(L, at, "first", 0);
    const double bits = number_field(L, at, "bits", 16);
    luaL_argcheck(L, bits >= 1 && bits <= 16, rule, "a table of 1 to 16 bits expected");
    if (most)
        *most = ldexp(1, (int)bits) - 1;
    lua_getfield(L, at, "entries");
    luaL_checktype(L, -1, LUA_TTABLE);
    t.count = (size_t)luaL_len(L, -1);
    double *entries = lua_newuserdatauv(L, (t.count + 1) * sizeof *entries, 0);
    for (size_t i = 0; i < t.count; ++i) {
        lua_rawgeti(L, at + 1, (lua_Integer)i + 1);
        entries[i] = luaL_checknumber(L, -1);
        lua_pop(L, 1);
    }
    t.entries = entries;
    lua_replace(L, at);
    lua_settop(L, at);
    return t;
}

/* Rule i of the array at `rules`; its tables' entries stay on the stack. */
static struct rule rule_at(lua_State *L, int rules, lua_Integer i)
{
    static const char *const kinds[] = {"range", "LINEAR", "LINEAR_EXACT", "SIGMOID", "table", NULL};
    luaL_checkstack(L, 8, NULL);
    lua_rawgeti(L, rules, i);
    const int at = lua_gettop(L);
    luaL_argcheck(L, lua_istable(L, at), rules, "a rule for each slice, or one, expected");
    struct rule r = {.modality = {.slope = number_field(L, at, "slope", 1),
                                  .intercept = number_field(L, at, "intercept", 0)},
                     .voi = {.a = number_field(L, at, "a", 0), .b = number_field(L, at, "b", 1)}};
    lua_getfield(L, at, "kind");
    r.voi.kind = (enum msagen_voi_kind)luaL_checkoption(L, -1, "range", kinds);
    lua_pop(L, 1);
    lua_getfield(L, at, "inverted");
    r.voi.inverted = lua_toboolean(L, -1);
    lua_pop(L, 1);
    r.modality.table = table_field(L, at, "table", NULL);
    r.voi.most = 1;
    r.voi.table = table_field(L, at, "voi", &r.voi.most);
    luaL_argcheck(L, r.voi.kind != MSAGEN_VOI_TABLE || (r.voi.table.count && r.voi.most > 0), rules,
                  "a VOI table expected");
    return r;
}

/* Slices, and elements of each, of the tensor at 1; the rules are at 2. */
static const struct msagen_tensor *slices_of(lua_State *L, lua_Integer *slices, int64_t *each, lua_Integer *rules)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, t->dims >= 1, 1, "slices expected");
    *slices = t->shape[0];
    *each = *slices ? msagen_tensor_numel(t) / *slices : 0;
    *rules = luaL_len(L, 2);
    luaL_argcheck(L, *rules == 1 || *rules == *slices, 2, "a rule for each slice, or one, expected");
    return t;
}

static struct msagen_tensor *pushed(lua_State *L, enum msagen_dtype dtype, const struct msagen_tensor *like)
{
    struct msagen_tensor *t = msagen_tensor_zeros(like->name, dtype, like->dims, like->shape);
    if (!t)
        msagen_fail(L, "%s: out of memory", like->name);
    msagen_tensor_push(L, t);
    return t;
}

/* What each slice's rule makes of its stored values: grey levels as u8, or modality values as f64. */
static int displayed(lua_State *L, enum msagen_dtype kind)
{
    lua_Integer slices, rules;
    int64_t each;
    const struct msagen_tensor *t = slices_of(L, &slices, &each, &rules);
    void *out = (void *)(uintptr_t)pushed(L, kind, t)->storage->data;
    const int top = lua_gettop(L);
    struct rule rule = {.voi = {.most = 1}};
    for (lua_Integer i = 0; i < slices; ++i) {
        if (i < rules) {
            lua_settop(L, top);
            rule = rule_at(L, 2, i + 1);
        }
        if (kind == MSAGEN_U8)
            msagen_display_grey(t, i * each, each, &rule.modality, &rule.voi, (unsigned char *)out + i * each);
        else
            msagen_display_modality(t, i * each, each, &rule.modality, (double *)out + i * each);
    }
    lua_settop(L, top);
    return 1;
}

static int grey(lua_State *L)
{
    return displayed(L, MSAGEN_U8);
}

static int modality(lua_State *L)
{
    return displayed(L, MSAGEN_F64);
}

static int range(lua_State *L)
{
    lua_Integer slices, rules;
    int64_t each, used = 0;
    const struct msagen_tensor *t = slices_of(L, &slices, &each, &rules);
    const double from = luaL_optnumber(L, 3, 1), to = luaL_optnumber(L, 4, lua_isnoneornil(L, 3) ? 0 : from);
    double low = HUGE_VAL, high = -HUGE_VAL;
    const int top = lua_gettop(L);
    struct rule rule = {.voi = {.most = 1}};
    for (lua_Integer i = 0; i < slices; ++i) {
        if (i < rules) {
            lua_settop(L, top);
            rule = rule_at(L, 2, i + 1);
        }
        used += msagen_display_range(t, i * each, each, &rule.modality, from, to, &low, &high);
    }
    if (!used)
        return 0;
    lua_pushnumber(L, low);
    lua_pushnumber(L, high);
    return 2;
}

int luaopen_msagen_display(lua_State *L)
{
    static const luaL_Reg functions[] = {{"grey", grey}, {"modality", modality}, {"range", range}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

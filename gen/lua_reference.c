/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.reference: the naive kernels on tensors. Every function takes f32 matrices and gives a new one. The module's own functions
 * are those of f32-fma-1; reference.of(class) has the same ones of a class. */
#include "crc32c.h"
#include "host.h"
#include "reference.h"
#include "tensor.h"

#include <string.h>

#include "msa_arith.h"

/* The argument as dense floats, in memory that Lua collects; shape[0..1] are its rows and the width of one. */
static const float *matrix(lua_State *L, int arg, size_t shape[2])
{
    const struct msagen_tensor *t = msagen_tensor_check(L, arg);
    const size_t n = (size_t)msagen_tensor_numel(t);
    shape[1] = t->dims > 0 ? (size_t)t->shape[t->dims - 1] : 1;
    shape[0] = shape[1] > 0 ? n / shape[1] : 0;
    float *copy = lua_newuserdatauv(L, (n > 0 ? n : 1) * sizeof *copy, 0);
    lua_replace(L, arg); /* keeps it alive while the caller runs */
    msagen_tensor_read_f32(t, copy);
    return copy;
}

static float *result(lua_State *L, size_t rows, size_t width)
{
    const int64_t shape[2] = {(int64_t)rows, (int64_t)width};
    struct msagen_tensor *t = msagen_tensor_zeros("reference", MSAGEN_F32, 2, shape);
    if (!t)
        msagen_fail(L, "reference: out of memory");
    msagen_tensor_push(L, t);
    return (float *)(uintptr_t)t->storage->data;
}

/* The class that a function was made for. */
static const struct msagen_reference *of_class(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* reference.pattern(first, rows, width) */
static int pattern(lua_State *L)
{
    const lua_Integer first = luaL_checkinteger(L, 1), rows = luaL_checkinteger(L, 2), width = luaL_checkinteger(L, 3);
    luaL_argcheck(L, rows > 0 && width > 0 && rows < 1 << 20 && width < 1 << 20, 2, "a shape expected");
    msagen_reference_pattern((uint32_t)first, (size_t)(rows * width), result(L, (size_t)rows, (size_t)width));
    return 1;
}

/* reference.linear(x, w [, bias]) */
static int linear(lua_State *L)
{
    size_t x[2], w[2], b[2] = {0, 0};
    lua_settop(L, 3);
    const int64_t outputs = msagen_tensor_check(L, 2)->shape[0];
    const float *px = matrix(L, 1, x), *pw = matrix(L, 2, w);
    const float *pb = lua_isnil(L, 3) ? NULL : matrix(L, 3, b);
    const size_t N = (size_t)outputs, K = N > 0 ? w[0] * w[1] / N : 0;
    luaL_argcheck(L, K == x[1], 2, "as many inputs as x is wide expected");
    luaL_argcheck(L, !pb || b[0] * b[1] == N, 3, "as many biases as outputs expected");
    if (of_class(L)->linear(px, pw, pb, result(L, x[0], N), x[0], N, K) != 0)
        return msagen_fail(L, "reference: out of memory");
    return 1;
}

/* reference.layernorm(x, gamma, beta, eps) */
static int layernorm(lua_State *L)
{
    size_t x[2], g[2], b[2];
    const float eps = (float)luaL_checknumber(L, 4);
    const float *px = matrix(L, 1, x), *pg = matrix(L, 2, g), *pb = matrix(L, 3, b);
    luaL_argcheck(L, g[0] * g[1] == x[1] && b[0] * b[1] == x[1], 2, "gamma and beta as wide as x expected");
    of_class(L)->layernorm(px, pg, pb, eps, result(L, x[0], x[1]), x[0], x[1]);
    return 1;
}

/* reference.attention(q, k, v, {heads, tile, count [, side, place, rel_h, rel_w]}) */
static int attention(lua_State *L)
{
    size_t q[2], k[2], v[2], h[2] = {0, 0}, w[2] = {0, 0};
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    lua_getfield(L, 4, "heads");
    lua_getfield(L, 4, "tile");
    lua_getfield(L, 4, "count");
    lua_getfield(L, 4, "side");
    lua_getfield(L, 4, "rel_h");
    lua_getfield(L, 4, "rel_w");
    lua_getfield(L, 4, "place");
    const lua_Integer heads = luaL_checkinteger(L, 5), tile = luaL_checkinteger(L, 6), count = luaL_checkinteger(L, 7), side = luaL_optinteger(L, 8, 0);
    const float *pq = matrix(L, 1, q), *pk = matrix(L, 2, k), *pv = matrix(L, 3, v);
    const float *ph = lua_isnil(L, 9) ? NULL : matrix(L, 9, h), *pw = lua_isnil(L, 10) ? NULL : matrix(L, 10, w);
    luaL_argcheck(L, k[0] == v[0] && k[1] == q[1] && v[1] == q[1], 2, "k and v alike and as wide as q expected");
    luaL_argcheck(L, heads > 0 && q[1] % (size_t)heads == 0 && tile > 0 && tile < 1 << 24 && count >= 0 && side >= 0 && side < 1 << 12, 4, "heads, tile, count out of range");
    luaL_argcheck(L, side == 0 || (size_t)(side * side) == k[0], 4, "side^2 keys expected");
    const size_t table = ((size_t)side * 2 - (side > 0)) * (q[1] / (size_t)heads);
    luaL_argcheck(L, (!ph || h[0] * h[1] == table) && (!pw || w[0] * w[1] == table), 4, "relative positions of 2 side - 1 rows expected");
    size_t *place = lua_newuserdatauv(L, (q[0] + 1) * sizeof *place, 0);
    for (size_t i = 0; i < q[0]; ++i) {
        place[i] = 0;
        if (side > 0 && lua_istable(L, 11)) {
            lua_rawgeti(L, 11, (lua_Integer)i + 1);
            const lua_Integer at = luaL_checkinteger(L, -1);
            luaL_argcheck(L, at >= 0 && at < side * side, 4, "places within the grid expected");
            place[i] = (size_t)at;
            lua_pop(L, 1);
        }
    }
    if (of_class(L)->attention(pq, pk, pv, result(L, q[0], q[1]), q[0], k[0], q[1], (size_t)heads, (size_t)tile, (size_t)count, (size_t)side, place, ph, pw) != 0)
        return msagen_fail(L, "reference: out of memory");
    return 1;
}

/* reference.gelu(x), reference.relu(x) */
static int activation(lua_State *L, float (*f)(float))
{
    size_t x[2];
    const float *p = matrix(L, 1, x);
    float *y = result(L, x[0], x[1]);
    for (size_t i = 0; i < x[0] * x[1]; ++i)
        y[i] = f(p[i]);
    return 1;
}

static float relu_of(float x) { return msa_max(x, 0.0f); }
static int gelu(lua_State *L) { return activation(L, of_class(L)->gelu); }
static int relu(lua_State *L) { return activation(L, relu_of); }

/* reference.add(x, y [, s]): x + y, or fma(y, s, x) */
static int add(lua_State *L)
{
    size_t x[2], y[2];
    lua_settop(L, 3);
    const int scaled = !lua_isnil(L, 3);
    const float s = (float)luaL_optnumber(L, 3, 1.0);
    const float *px = matrix(L, 1, x), *py = matrix(L, 2, y);
    luaL_argcheck(L, x[0] == y[0] && x[1] == y[1], 2, "x and y alike expected");
    float *z = result(L, x[0], x[1]);
    float (*fma_of)(float, float, float) = of_class(L)->fma;
    for (size_t i = 0; i < x[0] * x[1]; ++i)
        z[i] = scaled ? fma_of(py[i], s, px[i]) : px[i] + py[i];
    return 1;
}

/* reference.position(gaussian, g) */
static int position(lua_State *L)
{
    size_t shape[2];
    const lua_Integer g = luaL_checkinteger(L, 2);
    const float *gaussian = matrix(L, 1, shape);
    luaL_argcheck(L, shape[0] == 2, 1, "two rows expected");
    luaL_argcheck(L, g > 0 && g <= 4096, 2, "a grid expected");
    of_class(L)->position(gaussian, (size_t)g, 2 * shape[1], result(L, (size_t)(g * g), 2 * shape[1]));
    return 1;
}

/* reference.crc32c(crc, x): of the floats as they lie in memory */
static int crc32c(lua_State *L)
{
    size_t x[2];
    const lua_Integer crc = luaL_checkinteger(L, 1);
    const float *p = matrix(L, 2, x);
    lua_pushinteger(L, (lua_Integer)msagen_crc32c((uint32_t)crc, p, x[0] * x[1] * sizeof *p));
    return 1;
}

static const luaL_Reg functions[] = {{"pattern", pattern}, {"linear", linear}, {"layernorm", layernorm}, {"attention", attention},
    {"gelu", gelu}, {"relu", relu}, {"add", add}, {"position", position}, {"crc32c", crc32c}, {NULL, NULL}};

static void push_class(lua_State *L, const struct msagen_reference *class)
{
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, (void *)(uintptr_t)class);
    luaL_setfuncs(L, functions, 1);
}

/* reference.of(class) */
static int of(lua_State *L)
{
    static const struct msagen_reference *const classes[] = {&msagen_reference_fma, &msagen_reference_muladd};
    const char *name = luaL_checkstring(L, 1);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; ++i)
        if (strcmp(classes[i]->arithmetic, name) == 0) {
            push_class(L, classes[i]);
            return 1;
        }
    return msagen_fail(L, "arithmetic: expected f32-fma-1 or f32-muladd-1, found %s", name);
}

int luaopen_msagen_reference(lua_State *L)
{
    push_class(L, &msagen_reference_fma);
    lua_pushcfunction(L, of);
    lua_setfield(L, -2, "of");
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.reference: the naive kernels of gradients on tensors. */
#include "host.h"
#include "lua_reference.h"
#include "tensor.h"

#include <stdint.h>
#include <string.h>

/* reference.linear_dw(dy, x): dy^T x */
static int linear_dw(lua_State *L)
{
    size_t dy[2], x[2];
    const void *pdy = msagen_matrix(L, 1, dy), *px = msagen_matrix(L, 2, x);
    luaL_argcheck(L, dy[0] == x[0], 2, "as many rows as dy has expected");
    msagen_class(L)->linear_dw(pdy, px, msagen_matrix_new(L, dy[1], x[1]), x[0], dy[1], x[1]);
    return 1;
}

/* reference.column_sum(x) */
static int column_sum(lua_State *L)
{
    size_t x[2];
    const void *px = msagen_matrix(L, 1, x);
    if (msagen_class(L)->column_sum(px, msagen_matrix_new(L, 1, x[1]), x[0], x[1]) != 0)
        return msagen_fail(L, "reference: out of memory");
    return 1;
}

/* The number of rows that have a sum of their own, or 0 where an argument does not say. */
static size_t line_of(lua_State *L, int arg, size_t rows)
{
    const lua_Integer line = luaL_optinteger(L, arg, 0);
    luaL_argcheck(L, line == 0 || (line > 0 && rows % (size_t)line == 0), arg, "a divisor of the rows expected");
    return (size_t)line;
}

/* reference.norm_dx(dy, x, gamma, eps [, line]): of a layer norm, or with line of a map's */
static int norm_dx(lua_State *L)
{
    size_t dy[2], x[2], g[2];
    lua_settop(L, 5);
    const double eps = luaL_checknumber(L, 4);
    const void *pdy = msagen_matrix(L, 1, dy), *px = msagen_matrix(L, 2, x), *pg = msagen_matrix(L, 3, g);
    luaL_argcheck(L, dy[0] == x[0] && dy[1] == x[1], 2, "dy and x alike expected");
    luaL_argcheck(L, g[0] * g[1] == x[1], 3, "gamma as wide as x expected");
    const size_t line = line_of(L, 5, x[0]);
    void *dx = msagen_matrix_new(L, x[0], x[1]);
    if (line > 0)
        msagen_class(L)->mapnorm_dx(pdy, px, pg, eps, line, dx, x[0], x[1]);
    else
        msagen_class(L)->layernorm_dx(pdy, px, pg, eps, dx, x[0], x[1]);
    return 1;
}

/* reference.norm_dgamma(dy, x, eps [, line]) */
static int norm_dgamma(lua_State *L)
{
    size_t dy[2], x[2];
    lua_settop(L, 4);
    const double eps = luaL_checknumber(L, 3);
    const void *pdy = msagen_matrix(L, 1, dy), *px = msagen_matrix(L, 2, x);
    luaL_argcheck(L, dy[0] == x[0] && dy[1] == x[1], 2, "dy and x alike expected");
    const size_t line = line_of(L, 4, x[0]);
    void *dgamma = msagen_matrix_new(L, 1, x[1]);
    const int failed = line > 0 ? msagen_class(L)->mapnorm_dgamma(pdy, px, eps, line, dgamma, x[0], x[1])
        : msagen_class(L)->layernorm_dgamma(pdy, px, eps, dgamma, x[0], x[1]);
    return failed ? msagen_fail(L, "reference: out of memory") : 1;
}

/* reference.times(x, y): element by element */
static int times(lua_State *L)
{
    size_t x[2], y[2];
    const void *px = msagen_matrix(L, 1, x), *py = msagen_matrix(L, 2, y);
    luaL_argcheck(L, x[0] == y[0] && x[1] == y[1], 2, "x and y alike expected");
    msagen_class(L)->times(px, py, msagen_matrix_new(L, x[0], x[1]), x[0] * x[1]);
    return 1;
}

/* reference.scatter(x, {i, ...}, rows): sums of the rows of x, a row being added to row i of the result, from 0; an i
 * of `rows` adds to none */
static int scatter(lua_State *L)
{
    size_t x[2];
    const void *px = msagen_matrix(L, 1, x);
    luaL_checktype(L, 2, LUA_TTABLE);
    const lua_Integer rows = luaL_checkinteger(L, 3);
    luaL_argcheck(L, rows > 0 && rows <= INT32_MAX, 3, "a number of rows expected");
    luaL_argcheck(L, (size_t)luaL_len(L, 2) == x[0], 2, "an index for each row of x expected");
    size_t *index = lua_newuserdatauv(L, (x[0] + 1) * sizeof *index, 0);
    for (size_t i = 0; i < x[0]; ++i) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        const lua_Integer row = luaL_checkinteger(L, -1);
        luaL_argcheck(L, row >= 0 && row <= rows, 2, "rows of the result expected");
        index[i] = (size_t)row;
        lua_pop(L, 1);
    }
    msagen_class(L)->scatter(px, index, msagen_matrix_new(L, (size_t)rows, x[1]), x[0], (size_t)rows, x[1]);
    return 1;
}

/* Push a copy of a field's matrix, of zeros where there is none. @return its elements */
static void *sums(lua_State *L, const char *name, size_t rows, size_t width)
{
    const void *before = msagen_field_matrix(L, name, rows * width);
    void *after = msagen_matrix_new(L, rows, width);
    if (before)
        memcpy(after, before, rows * width * msagen_class(L)->bytes);
    return after;
}

/* reference.attention_dqkv(q, k, v, {d_o, heads, count [, height, width, row, place, rel_h, rel_w, tables]
 * [, drel_h, drel_w] [, start, dstart]}): dq, dk, dv; with `tables` the sums of drel_h and drel_w, or zeros, and the
 * gradients of the tables; with start likewise dstart */
static int attention_dqkv(lua_State *L)
{
    size_t q[2], k[2], v[2];
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    struct msagen_attention_set s = {msagen_matrix(L, 1, q), msagen_matrix(L, 2, k), msagen_matrix(L, 3, v), NULL,
        q[0], k[0], q[1], msagen_field(L, "heads", 0, 1 << 20), msagen_field(L, "count", 0, INT32_MAX), NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL};
    luaL_argcheck(L, k[0] == v[0] && k[1] == q[1] && v[1] == q[1], 2, "k and v alike and as wide as q expected");
    luaL_argcheck(L, s.heads > 0 && s.C % s.heads == 0 && s.count > 0 && s.count <= s.N, 4,
        "heads, count out of range");
    luaL_checkstack(L, 32, NULL);
    s.d_o = msagen_field_matrix(L, "d_o", s.M * s.C);
    luaL_argcheck(L, s.d_o, 4, "d_o expected");
    struct msagen_grid grid;
    s.grid = msagen_grid_field(L, &grid, s.M, s.N, s.C, s.heads);
    luaL_argcheck(L, !s.grid || (!grid.k_pad && !grid.rel_h == !grid.rel_w), 4,
        "padding among the keys, tables of both directions expected");
    s.start = msagen_field_matrix(L, "start", s.heads * s.M * s.N);
    luaL_argcheck(L, !s.start || !s.grid || !grid.rel_h, 4, "start without relative positions expected");
    s.dq = msagen_matrix_new(L, s.M, s.C);
    s.dk = msagen_matrix_new(L, s.N, s.C);
    s.dv = msagen_matrix_new(L, s.N, s.C);
    const int first = lua_gettop(L) - 2;
    int extra[2] = {0, 0};
    if (s.grid && grid.rel_h && lua_getfield(L, 4, "tables") && lua_toboolean(L, -1)) {
        s.drel_h = sums(L, "drel_h", 2 * grid.height - 1, s.C);
        extra[0] = lua_gettop(L);
        s.drel_w = sums(L, "drel_w", 2 * grid.width - 1, s.C);
        extra[1] = lua_gettop(L);
    } else if (s.start) {
        s.dstart = sums(L, "dstart", s.heads * s.M, s.N);
        extra[0] = lua_gettop(L);
    }
    if (msagen_class(L)->attention_dqkv(&s) != 0)
        return msagen_fail(L, "reference: out of memory");
    int count = 3;
    for (int i = 0; i < 3; ++i)
        lua_pushvalue(L, first + i);
    for (int i = 0; i < 2 && extra[i] > 0; ++i, ++count)
        lua_pushvalue(L, extra[i]);
    return count;
}

const luaL_Reg msagen_gradient_functions[] = {{"linear_dw", linear_dw}, {"column_sum", column_sum},
    {"norm_dx", norm_dx}, {"norm_dgamma", norm_dgamma}, {"times", times}, {"scatter", scatter},
    {"attention_dqkv", attention_dqkv}, {NULL, NULL}};

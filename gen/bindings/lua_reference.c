/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.reference: the naive kernels on tensors. Every function takes matrices and gives a new one, of f32 or, where
 * the class is float64, of f64. The module's own functions are those of f32-fma-1; reference.of(class) has the same
 * ones of a class, and its name as `arithmetic`. */
#include "lua_reference.h"

#include "host.h"
#include "tensor.h"

#include <string.h>

#include "msa_runtime.h"

const struct msagen_reference *msagen_class(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

const void *msagen_matrix(lua_State *L, int arg, size_t shape[2])
{
    const struct msagen_tensor *t = msagen_tensor_check(L, arg);
    const size_t n = (size_t)msagen_tensor_numel(t), bytes = msagen_class(L)->bytes;
    const int is_double = bytes == sizeof(double);
    shape[1] = t->dims > 0 ? (size_t)t->shape[t->dims - 1] : 1;
    shape[0] = shape[1] > 0 ? n / shape[1] : 0;
    if (t->dtype == (is_double ? MSAGEN_F64 : MSAGEN_F32) && msagen_tensor_contiguous(t)) {
        const uintptr_t place = (uintptr_t)t->storage->data + (uintptr_t)t->offset * bytes;
        if (place % bytes == 0)
            return (const void *)place;
    }
    void *copy = lua_newuserdatauv(L, (n > 0 ? n : 1) * bytes, 0);
    lua_replace(L, arg); /* keeps it alive while the caller runs */
    if (is_double)
        msagen_tensor_read_f64_range(t, 0, (int64_t)n, copy);
    else
        msagen_tensor_read_f32(t, copy);
    return copy;
}

void *msagen_matrix_new(lua_State *L, size_t rows, size_t width)
{
    const int64_t shape[2] = {(int64_t)rows, (int64_t)width};
    const enum msagen_dtype dtype = msagen_class(L)->bytes == sizeof(double) ? MSAGEN_F64 : MSAGEN_F32;
    struct msagen_tensor *t = msagen_tensor_zeros("reference", dtype, 2, shape);
    if (!t)
        msagen_fail(L, "reference: out of memory");
    msagen_tensor_push(L, t);
    return (void *)(uintptr_t)t->storage->data;
}

/* Number `place` of the self-test's pattern: uniform in [-1, 1), the same on every machine. */
static float pattern_at(uint32_t place)
{
    uint32_t z = place * 0x9e3779b9u;
    z = (z ^ z >> 16) * 0x85ebca6bu;
    z = (z ^ z >> 13) * 0xc2b2ae35u;
    z ^= z >> 16;
    return (float)(int32_t)(z >> 8) * (1.0f / 8388608.0f) - 1.0f;
}

/* reference.pattern(first, rows, width) */
static int pattern(lua_State *L)
{
    const lua_Integer first = luaL_checkinteger(L, 1), rows = luaL_checkinteger(L, 2), width = luaL_checkinteger(L, 3);
    luaL_argcheck(L, rows > 0 && width > 0 && rows < 1 << 20 && width < 1 << 20, 2, "a shape expected");
    void *y = msagen_matrix_new(L, (size_t)rows, (size_t)width);
    for (lua_Integer i = 0; i < rows * width; ++i) {
        const float value = pattern_at((uint32_t)(first + i));
        if (msagen_class(L)->bytes == sizeof(double))
            ((double *)y)[i] = value;
        else
            ((float *)y)[i] = value;
    }
    return 1;
}

/* x w^T + bias, from first where that is given */
static int product(lua_State *L, int packed)
{
    size_t x[2], w[2], b[2] = {0, 0}, f[2] = {0, 0};
    lua_settop(L, 4);
    const int64_t outputs = msagen_tensor_check(L, 2)->shape[0];
    const void *px = msagen_matrix(L, 1, x), *pw = msagen_matrix(L, 2, w);
    const void *pb = lua_isnil(L, 3) ? NULL : msagen_matrix(L, 3, b);
    const void *pf = lua_isnil(L, 4) ? NULL : msagen_matrix(L, 4, f);
    const size_t N = (size_t)outputs, K = N > 0 ? w[0] * w[1] / N : 0;
    luaL_argcheck(L, K == x[1], 2, "as many inputs as x is wide expected");
    luaL_argcheck(L, !pb || b[0] * b[1] == N, 3, "as many biases as outputs expected");
    luaL_argcheck(L, !pf || (f[0] == x[0] && f[1] == N), 4, "sums of the result's shape expected");
    if (msagen_class(L)->linear(px, pw, pb, pf, packed, msagen_matrix_new(L, x[0], N), x[0], N, K) != 0)
        return msagen_fail(L, "reference: out of memory");
    return 1;
}

/* reference.linear(x, w [, bias [, first]]): w is a weight, as it is packed */
static int linear(lua_State *L) { return product(L, 1); }

/* reference.product(x, w [, nil [, first]]): w is a value like x */
static int product_of_values(lua_State *L) { return product(L, 0); }

/* reference.layernorm(x, gamma, beta, eps) */
static int layernorm(lua_State *L)
{
    size_t x[2], g[2], b[2];
    const double eps = luaL_checknumber(L, 4);
    const void *px = msagen_matrix(L, 1, x), *pg = msagen_matrix(L, 2, g), *pb = msagen_matrix(L, 3, b);
    luaL_argcheck(L, g[0] * g[1] == x[1] && b[0] * b[1] == x[1], 2, "gamma and beta as wide as x expected");
    msagen_class(L)->layernorm(px, pg, pb, eps, msagen_matrix_new(L, x[0], x[1]), x[0], x[1]);
    return 1;
}

/* reference.mapnorm(x, gamma, beta, eps, line) */
static int mapnorm(lua_State *L)
{
    size_t x[2], g[2], b[2];
    const double eps = luaL_checknumber(L, 4);
    const lua_Integer line = luaL_checkinteger(L, 5);
    const void *px = msagen_matrix(L, 1, x), *pg = msagen_matrix(L, 2, g), *pb = msagen_matrix(L, 3, b);
    luaL_argcheck(L, g[0] * g[1] == x[1] && b[0] * b[1] == x[1], 2, "gamma and beta as wide as x expected");
    luaL_argcheck(L, line > 0 && x[0] % (size_t)line == 0, 5, "a divisor of the rows expected");
    msagen_class(L)->mapnorm(px, pg, pb, eps, (size_t)line, msagen_matrix_new(L, x[0], x[1]), x[0], x[1]);
    return 1;
}

size_t msagen_field(lua_State *L, const char *name, lua_Integer otherwise, lua_Integer most)
{
    lua_getfield(L, 4, name);
    const lua_Integer value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    luaL_argcheck(L, value >= 0 && value <= most, 4, name);
    return (size_t)value;
}

const void *msagen_field_matrix(lua_State *L, const char *name, size_t count)
{
    size_t shape[2];
    lua_getfield(L, 4, name);
    if (lua_isnil(L, -1))
        return NULL;
    const void *p = msagen_matrix(L, lua_gettop(L), shape);
    luaL_argcheck(L, shape[0] * shape[1] == count, 4, name);
    return p;
}

const struct msagen_grid *msagen_grid_field(lua_State *L, struct msagen_grid *grid, size_t queries, size_t keys,
    size_t width, size_t heads)
{
    const lua_Integer side = (lua_Integer)msagen_field(L, "side", 0, 4096);
    *grid = (struct msagen_grid){msagen_field(L, "height", side, 4096), msagen_field(L, "width", side, 4096), 0, NULL,
        NULL, NULL, NULL, NULL};
    const size_t places = grid->height * grid->width, d = width / heads;
    if (places == 0)
        return NULL;
    grid->row = msagen_field(L, "row", (lua_Integer)grid->width, 4096);
    luaL_argcheck(L, grid->row > 0 && grid->row <= grid->width && keys % grid->row == 0
        && keys / grid->row <= grid->height, 4, "keys that fill rows of the grid expected");
    grid->rel_h = msagen_field_matrix(L, "rel_h", (2 * grid->height - 1) * d);
    grid->rel_w = msagen_field_matrix(L, "rel_w", (2 * grid->width - 1) * d);
    grid->k_pad = msagen_field_matrix(L, "k_pad", width);
    grid->v_pad = msagen_field_matrix(L, "v_pad", width);
    luaL_argcheck(L, !grid->k_pad == !grid->v_pad, 4, "a key with a value of padding expected");
    size_t *place = lua_newuserdatauv(L, (queries + 1) * sizeof *place, 0);
    grid->place = place;
    const int given = lua_getfield(L, 4, "place") == LUA_TTABLE;
    for (size_t i = 0; i < queries; ++i) {
        place[i] = 0;
        if (!given)
            continue;
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        const lua_Integer at = luaL_checkinteger(L, -1);
        luaL_argcheck(L, at >= 0 && (size_t)at < places, 4, "places within the grid expected");
        place[i] = (size_t)at;
        lua_pop(L, 1);
    }
    return grid;
}

typedef int (*attention_fn)(const void *q, const void *k, const void *v, void *out, size_t M, size_t N, size_t C,
    size_t heads, size_t tile, size_t count, const struct msagen_grid *grid, const void *start);

static int attention_by(lua_State *L, attention_fn attend)
{
    size_t q[2], k[2], v[2];
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    const void *pq = msagen_matrix(L, 1, q), *pk = msagen_matrix(L, 2, k), *pv = msagen_matrix(L, 3, v);
    luaL_argcheck(L, k[0] == v[0] && k[1] == q[1] && v[1] == q[1], 2, "k and v alike and as wide as q expected");
    const size_t heads = msagen_field(L, "heads", 0, 1 << 20), tile = msagen_field(L, "tile", 0, 1 << 24),
        count = msagen_field(L, "count", 0, INT32_MAX);
    luaL_argcheck(L, heads > 0 && q[1] % heads == 0 && tile > 0, 4, "heads, tile out of range");
    struct msagen_grid grid;
    const struct msagen_grid *places = msagen_grid_field(L, &grid, q[0], k[0], q[1], heads);
    const void *start = msagen_field_matrix(L, "start", heads * q[0] * k[0]);
    luaL_argcheck(L, !start || !grid.rel_h, 4, "start without relative positions expected");
    if (attend(pq, pk, pv, msagen_matrix_new(L, q[0], q[1]), q[0], k[0], q[1], heads, tile, count, places, start) != 0)
        return msagen_fail(L, "reference: out of memory");
    return 1;
}

/* reference.attention(q, k, v, {heads, tile, count [, side | height, width, row, place, rel_h, rel_w, k_pad, v_pad]
 * [, start]}) */
static int attention(lua_State *L) { return attention_by(L, msagen_class(L)->attention); }

/* reference.attention_int8: the same of whole numbers */
static int attention_int8(lua_State *L) { return attention_by(L, msagen_class(L)->attention_int8); }

/* reference.attention_bf16: the same in bf16 */
static int attention_bf16(lua_State *L) { return attention_by(L, msagen_class(L)->attention_bf16); }

/* -> whole numbers, scales [rows,1] */
static int quantise_by(lua_State *L, void (*quantiser)(const void *x, void *q, void *scales, size_t M, size_t K))
{
    size_t x[2];
    const void *px = msagen_matrix(L, 1, x);
    void *q = msagen_matrix_new(L, x[0], x[1]);
    quantiser(px, q, msagen_matrix_new(L, x[0], 1), x[0], x[1]);
    return 2;
}

/* reference.quantise(x): rows; reference.quantise_weights(w): rows of a linear map's weight */
static int quantise(lua_State *L) { return quantise_by(L, msagen_class(L)->quantise); }
static int quantise_weights(lua_State *L) { return quantise_by(L, msagen_class(L)->quantise_weights); }

/* reference.dot_int8(a, b): a b^T of whole numbers */
static int dot_int8(lua_State *L)
{
    size_t a[2], b[2];
    const void *pa = msagen_matrix(L, 1, a), *pb = msagen_matrix(L, 2, b);
    luaL_argcheck(L, a[1] == b[1], 2, "as wide as a expected");
    luaL_argcheck(L, a[1] < INT32_MAX / (127 * 127), 1, "rows whose sums 32 bits hold expected");
    msagen_class(L)->dot_int8(pa, pb, msagen_matrix_new(L, a[0], b[0]), a[0], b[0], a[1]);
    return 1;
}

/* reference.bf16(x): rows of 8 significant bits, pairs of their numbers turned */
static int bf16(lua_State *L)
{
    size_t x[2];
    const void *px = msagen_matrix(L, 1, x);
    msagen_class(L)->bf16(px, msagen_matrix_new(L, x[0], x[1]), x[0], x[1]);
    return 1;
}

/* reference.scale_rows(x, scales) */
static int scale_rows(lua_State *L)
{
    size_t x[2], s[2];
    const void *px = msagen_matrix(L, 1, x), *ps = msagen_matrix(L, 2, s);
    luaL_argcheck(L, s[0] * s[1] == x[0], 2, "a scale for each row expected");
    msagen_class(L)->scale_rows(px, ps, msagen_matrix_new(L, x[0], x[1]), x[0], x[1]);
    return 1;
}

/* The steps of an expression as lua/graph/expressions.lua makes them: each { operation =, operands from 1... } or
 * { operation = "constant", constant = }. */
static const struct msagen_step *check_steps(lua_State *L, int arg, size_t *count)
{
    static const char *const names[] = {"x", "constant", "add", "sub", "mul", "div", "fma", "max", "min", "abs",
        "negate", "select", "exp", "erfc", NULL};
    luaL_checktype(L, arg, LUA_TTABLE);
    *count = lua_rawlen(L, arg);
    luaL_argcheck(L, *count > 0 && *count <= 1024, arg, "1 to 1024 steps expected");
    struct msagen_step *steps = lua_newuserdatauv(L, *count * sizeof *steps, 0);
    for (size_t i = 0; i < *count; ++i) {
        luaL_argcheck(L, lua_rawgeti(L, arg, (lua_Integer)i + 1) == LUA_TTABLE, arg, "steps expected");
        lua_getfield(L, -1, "operation");
        steps[i] = (struct msagen_step){(enum msagen_operation)luaL_checkoption(L, -1, NULL, names), {0}, 0.0};
        luaL_argcheck(L, steps[i].operation != MSAGEN_ERFC || msagen_class(L)->bytes == sizeof(double), arg,
            "erfc: is float64's alone");
        lua_getfield(L, -2, "constant");
        steps[i].constant = luaL_optnumber(L, -1, 0.0);
        lua_pop(L, 2);
        const size_t operands = lua_rawlen(L, -1);
        for (size_t k = 0; k < operands && k < 4; ++k) {
            lua_rawgeti(L, -1, (lua_Integer)k + 1);
            const lua_Integer from = luaL_checkinteger(L, -1);
            luaL_argcheck(L, from >= 1 && (size_t)from <= i, arg, "steps before a step expected");
            steps[i].operand[k] = (size_t)from - 1;
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    return steps; /* on the stack, which keeps it */
}

/* reference.evaluate(steps, x): an expression of every element */
static int evaluate(lua_State *L)
{
    size_t x[2], count;
    lua_settop(L, 2);
    const struct msagen_step *steps = check_steps(L, 1, &count);
    const void *px = msagen_matrix(L, 2, x);
    if (msagen_class(L)->evaluate(steps, count, px, msagen_matrix_new(L, x[0], x[1]), x[0] * x[1]) != 0)
        return msagen_fail(L, "reference: out of memory");
    return 1;
}

/* reference.add(x, y [, s]): x + y, or fma(y, s, x) */
static int add(lua_State *L)
{
    size_t x[2], y[2];
    lua_settop(L, 3);
    const double s = luaL_optnumber(L, 3, 1.0);
    const double *scale = lua_isnil(L, 3) ? NULL : &s;
    const void *px = msagen_matrix(L, 1, x), *py = msagen_matrix(L, 2, y);
    luaL_argcheck(L, x[0] == y[0] && x[1] == y[1], 2, "x and y alike expected");
    msagen_class(L)->add(px, py, scale, msagen_matrix_new(L, x[0], x[1]), x[0] * x[1]);
    return 1;
}

/* reference.fma(x, y, z): x y + z; y and z as x, or a row for all */
static int fma_of(lua_State *L)
{
    size_t x[2], y[2], z[2];
    const void *px = msagen_matrix(L, 1, x), *py = msagen_matrix(L, 2, y), *pz = msagen_matrix(L, 3, z);
    luaL_argcheck(L, y[1] == x[1] && (y[0] == x[0] || y[0] == 1), 2, "as x, or a row as wide, expected");
    luaL_argcheck(L, z[1] == x[1] && (z[0] == x[0] || z[0] == 1), 3, "as x, or a row as wide, expected");
    msagen_class(L)->fma(px, py, y[0] == 1, pz, z[0] == 1, msagen_matrix_new(L, x[0], x[1]), x[0], x[1]);
    return 1;
}

/* reference.features(gaussian, xy): of places xy (n,2) */
static int features(lua_State *L)
{
    size_t shape[2], places[2];
    const void *gaussian = msagen_matrix(L, 1, shape), *xy = msagen_matrix(L, 2, places);
    luaL_argcheck(L, shape[0] == 2, 1, "two rows expected");
    luaL_argcheck(L, places[1] == 2, 2, "two numbers a place expected");
    msagen_class(L)->features(xy, places[0], gaussian, 2 * shape[1], msagen_matrix_new(L, places[0], 2 * shape[1]));
    return 1;
}

/* reference.position(gaussian, g): features of the places of a g x g grid, row by row */
static int position(lua_State *L)
{
    size_t shape[2];
    const lua_Integer g = luaL_checkinteger(L, 2);
    const void *gaussian = msagen_matrix(L, 1, shape);
    luaL_argcheck(L, shape[0] == 2, 1, "two rows expected");
    luaL_argcheck(L, g > 0 && g <= 4096, 2, "a grid expected");
    msagen_class(L)->position(gaussian, (size_t)g, 2 * shape[1], msagen_matrix_new(L, (size_t)(g * g), 2 * shape[1]));
    return 1;
}

/* reference.rows(x, {i, ...}): those rows, from 0, in that order */
static int rows(lua_State *L)
{
    size_t x[2];
    const void *p = msagen_matrix(L, 1, x);
    luaL_checktype(L, 2, LUA_TTABLE);
    const size_t count = (size_t)luaL_len(L, 2);
    const size_t bytes = x[1] * msagen_class(L)->bytes;
    char *y = msagen_matrix_new(L, count, x[1]);
    for (size_t i = 0; i < count; ++i) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        const lua_Integer row = luaL_checkinteger(L, -1);
        luaL_argcheck(L, row >= 0 && (size_t)row < x[0], 2, "rows of x expected");
        memcpy(y + i * bytes, (const char *)p + (size_t)row * bytes, bytes);
        lua_pop(L, 1);
    }
    return 1;
}

/* reference.beside(x, y, ...): columns of all, side by side */
static int beside(lua_State *L)
{
    enum { MOST = 16 };
    const int count = lua_gettop(L);
    const size_t bytes = msagen_class(L)->bytes;
    const char *from[MOST];
    size_t shape[2] = {0, 0}, own[MOST], width = 0, at = 0;
    luaL_argcheck(L, count > 0 && count <= MOST, 1, "1 to 16 matrices expected");
    for (int i = 0; i < count; ++i) {
        const size_t before = shape[0];
        from[i] = msagen_matrix(L, i + 1, shape);
        own[i] = shape[1];
        width += own[i];
        luaL_argcheck(L, i == 0 || shape[0] == before, i + 1, "as many rows in each expected");
    }
    char *y = msagen_matrix_new(L, shape[0], width);
    for (int i = 0; i < count; at += own[i++])
        for (size_t r = 0; r < shape[0]; ++r)
            memcpy(y + (r * width + at) * bytes, from[i] + r * own[i] * bytes, own[i] * bytes);
    return 1;
}

/* reference.stacked({x, y, ...}): rows of all, one below the other */
static int stacked(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const int count = (int)luaL_len(L, 1);
    size_t shape[2], rows = 0, width = 0, at = 0;
    luaL_argcheck(L, count > 0, 1, "a matrix expected");
    for (int i = 1; i <= count; ++i) {
        lua_rawgeti(L, 1, i);
        msagen_matrix(L, lua_gettop(L), shape);
        luaL_argcheck(L, i == 1 || shape[1] == width, 1, "matrices of one width expected");
        width = shape[1];
        rows += shape[0];
        lua_pop(L, 1);
    }
    const size_t bytes = msagen_class(L)->bytes;
    char *y = msagen_matrix_new(L, rows, width);
    for (int i = 1; i <= count; ++i) {
        lua_rawgeti(L, 1, i);
        const void *from = msagen_matrix(L, lua_gettop(L), shape);
        memcpy(y + at, from, shape[0] * width * bytes);
        at += shape[0] * width * bytes;
        lua_pop(L, 1);
    }
    return 1;
}

/* reference.packed(x): as weights lie in the blob */
static int packed(lua_State *L)
{
    size_t x[2];
    const void *p = msagen_matrix(L, 1, x);
    msagen_class(L)->packed(p, msagen_matrix_new(L, x[0], x[1]), x[0] * x[1]);
    return 1;
}

/* reference.crc32c(crc, x): of a text's bytes, or of elements as they lie in memory */
static int crc32c(lua_State *L)
{
    size_t x[2], bytes;
    const lua_Integer crc = luaL_checkinteger(L, 1);
    const void *p;
    if (lua_type(L, 2) == LUA_TSTRING) {
        p = lua_tolstring(L, 2, &bytes);
    } else {
        p = msagen_matrix(L, 2, x);
        bytes = x[0] * x[1] * msagen_class(L)->bytes;
    }
    lua_pushinteger(L, (lua_Integer)msa_crc32c((uint32_t)crc, p, bytes));
    return 1;
}

static const luaL_Reg functions[] = {{"pattern", pattern}, {"linear", linear}, {"product", product_of_values},
    {"layernorm", layernorm}, {"mapnorm", mapnorm}, {"attention", attention}, {"evaluate", evaluate}, {"add", add},
    {"fma", fma_of}, {"features", features}, {"position", position}, {"rows", rows}, {"beside", beside},
    {"stacked", stacked}, {"packed", packed}, {"crc32c", crc32c}, {"quantise", quantise},
    {"quantise_weights", quantise_weights}, {"dot_int8", dot_int8}, {"scale_rows", scale_rows},
    {"attention_int8", attention_int8}, {"attention_bf16", attention_bf16},
    {"bf16", bf16}, {NULL, NULL}};

static void push_class(lua_State *L, const struct msagen_reference *class)
{
    const luaL_Reg *const lists[] = {functions, msagen_gradient_functions};
    luaL_newlibtable(L, functions);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; ++i) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)class);
        luaL_setfuncs(L, lists[i], 1);
    }
    lua_pushstring(L, class->arithmetic);
    lua_setfield(L, -2, "arithmetic");
}

/* reference.of(class): what a class computes of operations of lower precision, they say themselves */
static int of(lua_State *L)
{
    const struct msagen_reference *const fma = msagen_reference_fastest_fma(), *const muladd = &msagen_reference_muladd;
    const struct {
        const char *name;
        const struct msagen_reference *class;
    } classes[] = {{"f32-fma-1", fma}, {"int8-dyn-1", fma}, {"bf16-1", fma}, {"f32-muladd-1", muladd},
        {"int8-dyn-muladd-1", muladd}, {"bf16-muladd-1", muladd}, {"float64", &msagen_reference_float64}};
    const char *name = luaL_checkstring(L, 1);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; ++i)
        if (strcmp(classes[i].name, name) == 0) {
            push_class(L, classes[i].class);
            return 1;
        }
    return msagen_fail(L, "arithmetic: expected f32-fma-1, int8-dyn-1, bf16-1, one of their muladd classes or float64, "
        "found %s", name);
}

int luaopen_msagen_reference(lua_State *L)
{
    push_class(L, msagen_reference_fastest_fma());
    lua_pushcfunction(L, of);
    lua_setfield(L, -2, "of");
    return 1;
}

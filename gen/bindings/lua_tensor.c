/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.tensor: tensors as Lua values. Views share storage; arithmetic gives new tensors, of f32 but within
 * in_double. */
#include "columns.h"
#include "host.h"
#include "resample.h"
#include "tensor_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KIND "msagen.tensor"

enum { ERROR_TEXT = 1024 };

/* Lua sees a small userdata; without a push the collector would let hundreds of megabytes of dead tensors stand. */
static void weigh(lua_State *L, const struct msagen_tensor *t)
{
    if (t->storage->bytes >= (size_t)1 << 20 && t->storage->refs == 1)
        lua_gc(L, LUA_GCSTEP, (int)(t->storage->bytes >> 10 & 0x3fffffff));
}

void msagen_tensor_push(lua_State *L, struct msagen_tensor *t)
{
    struct msagen_tensor **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = t;
    if (luaL_getmetatable(L, KIND) == LUA_TNIL) {
        lua_pop(L, 1);
        luaopen_msagen_tensor(L);
        lua_pop(L, 1);
        luaL_getmetatable(L, KIND);
    }
    lua_setmetatable(L, -2);
    weigh(L, t);
}

struct msagen_tensor *msagen_tensor_check(lua_State *L, int arg)
{
    struct msagen_tensor **box = luaL_checkudata(L, arg, KIND);
    return *box;
}

static int push_or_fail(lua_State *L, struct msagen_tensor *t, const char *error)
{
    if (!t)
        return msagen_fail(L, "%s", error);
    msagen_tensor_push(L, t);
    return 1;
}

static int tensor_gc(lua_State *L)
{
    struct msagen_tensor **box = luaL_checkudata(L, 1, KIND);
    msagen_tensor_free(*box);
    *box = NULL;
    return 0;
}

static void push_shape(lua_State *L, const struct msagen_tensor *t)
{
    lua_createtable(L, t->dims, 0);
    for (int i = 0; i < t->dims; ++i) {
        lua_pushinteger(L, t->shape[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

/* t.name, t.dtype, t.shape (a fresh array), else the method */
static int tensor_index(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "name") == 0)
        lua_pushstring(L, t->name);
    else if (strcmp(key, "dtype") == 0)
        lua_pushstring(L, msagen_dtype_name(t->dtype));
    else if (strcmp(key, "shape") == 0)
        push_shape(L, t);
    else {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
    }
    return 1;
}

static int tensor_tostring(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, t->name);
    luaL_addchar(&b, ' ');
    luaL_addstring(&b, msagen_dtype_name(t->dtype));
    luaL_addstring(&b, " [");
    for (int i = 0; i < t->dims; ++i) {
        lua_pushfstring(L, i ? ",%I" : "%I", (LUAI_UACINT)t->shape[i]);
        luaL_addvalue(&b);
    }
    luaL_addchar(&b, ']');
    luaL_pushresult(&b);
    return 1;
}

static int tensor_numel(lua_State *L)
{
    lua_pushinteger(L, msagen_tensor_numel(msagen_tensor_check(L, 1)));
    return 1;
}

static int tensor_contiguous(lua_State *L)
{
    lua_pushboolean(L, msagen_tensor_contiguous(msagen_tensor_check(L, 1)));
    return 1;
}

/* An array of at most MSAGEN_MAX_DIMS integers; its length. */
static int check_integers(lua_State *L, int arg, int64_t *out)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    const lua_Unsigned n = lua_rawlen(L, arg);
    luaL_argcheck(L, n <= MSAGEN_MAX_DIMS, arg, "too many dimensions");
    for (lua_Unsigned i = 0; i < n; ++i) {
        int integer;
        lua_rawgeti(L, arg, (lua_Integer)i + 1);
        out[i] = lua_tointegerx(L, -1, &integer);
        luaL_argcheck(L, integer, arg, "integers expected");
        lua_pop(L, 1);
    }
    return (int)n;
}

static int check_shape(lua_State *L, int arg, int64_t *shape)
{
    const int dims = check_integers(L, arg, shape);
    for (int i = 0; i < dims; ++i)
        luaL_argcheck(L, shape[i] >= 0, arg, "a negative size");
    return dims;
}

static enum msagen_dtype check_dtype(lua_State *L, int arg)
{
    static const char *const names[] = {"f32", "f64", "f16", "bf16", "i64", "i32", "i16", "i8", "u16", "u8",
        "bool", NULL};
    return (enum msagen_dtype)luaL_checkoption(L, arg, "f32", names);
}

/* t:slice(dim, start, len): dim from 1, start from 0 */
static int tensor_slice(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const lua_Integer dim = luaL_checkinteger(L, 2);
    luaL_argcheck(L, dim >= 1 && dim <= MSAGEN_MAX_DIMS, 2, "no such dimension");
    const lua_Integer start = luaL_checkinteger(L, 3), len = luaL_checkinteger(L, 4);
    return push_or_fail(L, msagen_tensor_slice(t, (int)dim - 1, start, len, error, sizeof error), error);
}

/* t:permute{3,1,2}: new dimension i is the old one named at i */
static int tensor_permute(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    int64_t wanted[MSAGEN_MAX_DIMS] = {0};
    int order[MSAGEN_MAX_DIMS];
    luaL_argcheck(L, check_integers(L, 2, wanted) == t->dims, 2,
        "as many entries as the tensor has dimensions expected");
    for (int i = 0; i < t->dims; ++i)
        order[i] = wanted[i] >= 1 && wanted[i] <= t->dims ? (int)wanted[i] - 1 : -1;
    return push_or_fail(L, msagen_tensor_permute(t, order, error, sizeof error), error);
}

static int tensor_transpose(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    luaL_argcheck(L, t->dims == 2, 1, "two dimensions expected");
    return push_or_fail(L, msagen_tensor_permute(t, (int[]){1, 0}, error, sizeof error), error);
}

/* t:flip(dim): a copy with dimension dim, from 1, in the opposite order */
static int tensor_flip(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const lua_Integer dim = luaL_checkinteger(L, 2);
    luaL_argcheck(L, dim >= 1 && dim <= t->dims, 2, "no such dimension");
    return push_or_fail(L, msagen_tensor_flip(t, (int)dim - 1, error, sizeof error), error);
}

static int tensor_reshape(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    int64_t shape[MSAGEN_MAX_DIMS] = {0};
    const int dims = check_integers(L, 2, shape);
    return push_or_fail(L, msagen_tensor_reshape(t, dims, shape, error, sizeof error), error);
}

static int tensor_rename(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    return push_or_fail(L, msagen_tensor_new(name, t->dtype, t->dims, t->shape, t->stride, t->offset, t->storage),
                        "out of memory");
}

/* t:add(u [, scale]): t + scale * u */
static int tensor_add(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1), *u = msagen_tensor_check(L, 2);
    return push_or_fail(L, msagen_tensor_add(t, u, luaL_optnumber(L, 3, 1), error, sizeof error), error);
}

static int tensor_scale(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    return push_or_fail(L, msagen_tensor_scale(t, luaL_checknumber(L, 2), error, sizeof error), error);
}

/* t:columns_most() -> the largest magnitude of each column, a column a member of the last dimension */
static int tensor_columns_most(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const size_t width = t->dims > 0 ? (size_t)t->shape[t->dims - 1] : 1;
    double *most = lua_newuserdatauv(L, (width + 1) * sizeof *most, 0);
    if (msagen_columns_most(t, most) != 0)
        return msagen_fail(L, "out of memory");
    lua_createtable(L, (int)width, 0);
    for (size_t c = 0; c < width; ++c) {
        lua_pushnumber(L, most[c]);
        lua_rawseti(L, -2, (lua_Integer)c + 1);
    }
    return 1;
}

/* t:columns_scaled{exponent...}: column c times 2^exponent */
static int tensor_columns_scaled(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const size_t width = t->dims > 0 ? (size_t)t->shape[t->dims - 1] : 1;
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, lua_rawlen(L, 2) == width, 2, "an exponent for each column expected");
    int *exponents = lua_newuserdatauv(L, (width + 1) * sizeof *exponents, 0);
    for (size_t c = 0; c < width; ++c) {
        lua_rawgeti(L, 2, (lua_Integer)c + 1);
        const lua_Integer exponent = luaL_checkinteger(L, -1);
        luaL_argcheck(L, exponent >= -64 && exponent <= 64, 2, "exponents from -64 to 64 expected");
        exponents[c] = (int)exponent;
        lua_pop(L, 1);
    }
    return push_or_fail(L, msagen_columns_scaled(t, exponents), "out of memory");
}

static int tensor_matmul(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1), *u = msagen_tensor_check(L, 2);
    return push_or_fail(L, msagen_tensor_matmul(t, u, error, sizeof error), error);
}

/* t:resample_bicubic{h, w}: the last two dimensions */
static int tensor_resample_bicubic(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    int64_t size[MSAGEN_MAX_DIMS];
    luaL_argcheck(L, check_integers(L, 2, size) == 2, 2, "{height, width} expected");
    return push_or_fail(L, msagen_resample_bicubic(t, size[0], size[1], error, sizeof error), error);
}

/* t:resample_linear(n): the first of two dimensions */
static int tensor_resample_linear(lua_State *L)
{
    char error[ERROR_TEXT];
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    return push_or_fail(L, msagen_resample_linear(t, luaL_checkinteger(L, 2), error, sizeof error), error);
}

static void push_number(lua_State *L, const struct msagen_tensor *t, double value)
{
    const int real = t->dtype == MSAGEN_F32 || t->dtype == MSAGEN_F64 || t->dtype == MSAGEN_F16
        || t->dtype == MSAGEN_BF16;
    if (!real && fabs(value) <= 0x1p53)
        lua_pushinteger(L, (lua_Integer)value);
    else
        lua_pushnumber(L, value);
}

/* t:get(i, j, ...): from 0 */
static int tensor_get(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    int64_t index[MSAGEN_MAX_DIMS] = {0};
    if (lua_gettop(L) != t->dims + 1)
        return luaL_error(L, "%s: %d indices expected, found %d", t->name, t->dims, lua_gettop(L) - 1);
    for (int i = 0; i < t->dims; ++i) {
        index[i] = luaL_checkinteger(L, i + 2);
        luaL_argcheck(L, index[i] >= 0 && index[i] < t->shape[i], i + 2, "outside the tensor");
    }
    push_number(L, t, msagen_tensor_at(t, index));
    return 1;
}

/* t:totable(): flat, C order */
static int tensor_totable(lua_State *L)
{
    enum { CHUNK = 256 };
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const int64_t numel = msagen_tensor_numel(t);
    luaL_argcheck(L, numel <= 1 << 26, 1, "too large for a table");
    lua_createtable(L, (int)numel, 0);
    double values[CHUNK];
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(t, first, n, values);
        for (int64_t i = 0; i < n; ++i) {
            push_number(L, t, values[i]);
            lua_rawseti(L, -2, first + i + 1);
        }
    }
    return 1;
}

/* t:tobytes(): its own dtype, C order, as a string */
static int tensor_tobytes(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    luaL_Buffer b;
    const size_t bytes = (size_t)msagen_tensor_numel(t) * msagen_dtype_bytes(t->dtype);
    msagen_tensor_read_raw(t, 0, msagen_tensor_numel(t), luaL_buffinitsize(L, &b, bytes));
    luaL_pushresultsize(&b, bytes);
    return 1;
}

static int tensor_equal(lua_State *L)
{
    lua_pushboolean(L, msagen_tensor_equal(msagen_tensor_check(L, 1), msagen_tensor_check(L, 2)));
    return 1;
}

/* t:relative_rms(other) -> the root of the mean square of other - t over that of t */
static int tensor_relative_rms(lua_State *L)
{
    const struct msagen_tensor *a = msagen_tensor_check(L, 1), *b = msagen_tensor_check(L, 2);
    luaL_argcheck(L, msagen_tensor_numel(a) == msagen_tensor_numel(b), 2, "as many elements expected");
    lua_pushnumber(L, msagen_tensor_relative_rms(a, b));
    return 1;
}

static int tensor_is_zero(lua_State *L)
{
    lua_pushboolean(L, msagen_tensor_is_zero(msagen_tensor_check(L, 1)));
    return 1;
}

/* true, or false and the flat index of the first NaN or infinity */
static int tensor_finite(lua_State *L)
{
    const int64_t at = msagen_tensor_first_nonfinite(msagen_tensor_check(L, 1));
    lua_pushboolean(L, at < 0);
    if (at < 0)
        return 1;
    lua_pushinteger(L, at);
    return 2;
}

static int tensor_forget(lua_State *L)
{
    msagen_tensor_forget(msagen_tensor_check(L, 1));
    return 0;
}

static struct msagen_tensor *new_zeros(lua_State *L, enum msagen_dtype dtype, int dims, const int64_t *shape)
{
    struct msagen_tensor *t = msagen_tensor_zeros("", dtype, dims, shape);
    if (!t)
        msagen_fail(L, "tensor: out of memory");
    msagen_tensor_push(L, t);
    return t;
}

/* tensor.zeros(shape [, dtype]) */
static int zeros(lua_State *L)
{
    int64_t shape[MSAGEN_MAX_DIMS];
    const int dims = check_shape(L, 1, shape);
    new_zeros(L, check_dtype(L, 2), dims, shape);
    return 1;
}

/* tensor.from(numbers, shape): f32, the numbers rounded once; within in_double f64 */
static int from(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int64_t shape[MSAGEN_MAX_DIMS];
    const int dims = check_shape(L, 2, shape);
    struct msagen_tensor *t = new_zeros(L, msagen_tensor_computed(), dims, shape);
    const int64_t numel = msagen_tensor_numel(t);
    luaL_argcheck(L, lua_rawlen(L, 1) == (lua_Unsigned)numel, 1, "as many numbers as the shape says expected");
    for (int64_t i = 0; i < numel; ++i) {
        int number;
        lua_rawgeti(L, 1, i + 1);
        const double value = lua_tonumberx(L, -1, &number);
        msagen_tensor_store(t, i, 1, &value);
        luaL_argcheck(L, number, 1, "numbers expected");
        lua_pop(L, 1);
    }
    return 1;
}

/* tensor.frombytes(bytes, dtype, shape): a copy */
static int frombytes(lua_State *L)
{
    size_t bytes;
    const char *data = luaL_checklstring(L, 1, &bytes);
    const enum msagen_dtype dtype = check_dtype(L, 2);
    int64_t shape[MSAGEN_MAX_DIMS];
    const int dims = check_shape(L, 3, shape);
    const struct msagen_tensor *t = new_zeros(L, dtype, dims, shape);
    luaL_argcheck(L, t->storage->bytes == bytes, 1, "as many bytes as the shape says expected");
    if (bytes)
        memcpy((void *)(uintptr_t)t->storage->data, data, bytes);
    return 1;
}

/* tensor.in_double(f, ...): what f(...) gives; tensors that are computed meanwhile are f64, and nothing in them is
 * rounded to float */
static int in_double(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    const enum msagen_dtype before = msagen_tensor_compute(MSAGEN_F64);
    const int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    msagen_tensor_compute(before);
    return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static const luaL_Reg methods[] = {
    {"numel", tensor_numel},
    {"contiguous", tensor_contiguous},
    {"slice", tensor_slice},
    {"permute", tensor_permute},
    {"transpose", tensor_transpose},
    {"reshape", tensor_reshape},
    {"flip", tensor_flip},
    {"rename", tensor_rename},
    {"add", tensor_add},
    {"scale", tensor_scale},
    {"columns_most", tensor_columns_most},
    {"columns_scaled", tensor_columns_scaled},
    {"matmul", tensor_matmul},
    {"resample_bicubic", tensor_resample_bicubic},
    {"resample_linear", tensor_resample_linear},
    {"get", tensor_get},
    {"totable", tensor_totable},
    {"tobytes", tensor_tobytes},
    {"equal", tensor_equal},
    {"relative_rms", tensor_relative_rms},
    {"is_zero", tensor_is_zero},
    {"finite", tensor_finite},
    {"forget", tensor_forget},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"zeros", zeros},
    {"from", from},
    {"frombytes", frombytes},
    {"in_double", in_double},
    {NULL, NULL},
};

/* Other modules push tensors too, so the metatable is made by whoever needs it first. */
int luaopen_msagen_tensor(lua_State *L)
{
    if (luaL_newmetatable(L, KIND)) {
        luaL_newlib(L, methods);
        lua_pushcclosure(L, tensor_index, 1);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, tensor_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, tensor_tostring);
        lua_setfield(L, -2, "__tostring");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}

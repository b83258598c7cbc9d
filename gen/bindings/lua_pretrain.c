/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.pretrain: the losses of pre-training (runtime/train/msa_pretrain.h) on tensors.
 *   of(class) -> { arithmetic =, reconstruction =, moved =, mixture = }     a class of arithmetic, or "float64"
 *   reconstruction(prediction [L,3n], patches [3L,n], removed u8 [L]) -> value, gradient [L,3n]
 *   moved(prediction [L,2], moved u8 [L]) -> value, gradient [L,2]
 *   mixture(mixed [B,D], plain [B,D], shares: list of B numbers, partners: list of B from 0, temperature)
 *     -> value, gradients of mixed and of plain [B,D]
 * Tensors are of f32 or, of float64, of f64, unless said. */
#include "host.h"
#include "tensor.h"
#include "training.h"

static const struct msagen_training *of_class(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* A matrix as the class has its elements, in memory that Lua frees. */
static void *matrix(lua_State *L, int at, const char *name, int64_t shape[2])
{
    const struct msagen_tensor *const t = msagen_tensor_check(L, at);
    const int64_t n = msagen_tensor_numel(t);
    if (t->dims != 2 || n < 1)
        msagen_fail(L, "pretrain: %s: expected a matrix, found another shape", name);
    shape[0] = t->shape[0];
    shape[1] = t->shape[1];
    void *const data = lua_newuserdatauv(L, (size_t)n * of_class(L)->bytes, 0);
    if (of_class(L)->bytes == sizeof(double))
        msagen_tensor_read_f64_range(t, 0, n, data);
    else
        msagen_tensor_read_f32(t, data);
    return data;
}

/* Bytes, one for each place. */
static uint8_t *marks(lua_State *L, int at, const char *name, int64_t places)
{
    const struct msagen_tensor *const t = msagen_tensor_check(L, at);
    if (t->dtype != MSAGEN_U8 || msagen_tensor_numel(t) != places)
        msagen_fail(L, "pretrain: %s: expected u8, one for each of %d places, found others", name, (int)places);
    uint8_t *const data = lua_newuserdatauv(L, (size_t)places, 0);
    msagen_tensor_read_raw(t, 0, places, data);
    return data;
}

/* A new matrix of the class on the stack; its elements. */
static void *result(lua_State *L, const int64_t shape[2])
{
    struct msagen_tensor *t = msagen_tensor_zeros("pretrain",
        of_class(L)->bytes == sizeof(double) ? MSAGEN_F64 : MSAGEN_F32, 2, shape);
    if (!t)
        msagen_fail(L, "pretrain: out of memory");
    msagen_tensor_push(L, t);
    return (void *)(uintptr_t)t->storage->data;
}

static void check_status(lua_State *L, msa_status status)
{
    if (status == MSA_E_NAN)
        msagen_fail(L, "pretrain: expected predictions below 2^60, found NaN, infinity or larger ones");
    if (status != MSA_OK)
        msagen_fail(L, "pretrain: expected shapes that fit and marks of 0 and 1, found others");
}

static int reconstruction(lua_State *L)
{
    int64_t shape[2], patches[2];
    lua_settop(L, 3);
    const void *const prediction = matrix(L, 1, "prediction", shape), *const pixels = matrix(L, 2, "patches", patches);
    if (patches[0] != 3 * shape[0] || 3 * patches[1] != shape[1] || shape[0] > INT32_MAX || patches[1] > 65536)
        return msagen_fail(L, "pretrain: patches: expected a row for each place and colour, found another shape");
    const struct msagen_reconstruction in = {prediction, (size_t)shape[1], pixels, (size_t)patches[1],
        marks(L, 3, "removed", shape[0]), (uint32_t)shape[0], (uint32_t)patches[1]};
    double value = 0.0;
    void *const gradient = result(L, shape);
    check_status(L, of_class(L)->reconstruction(&in, gradient, &value));
    lua_pushnumber(L, value);
    lua_insert(L, -2);
    return 2;
}

static int moved(lua_State *L)
{
    int64_t shape[2];
    lua_settop(L, 2);
    const void *const prediction = matrix(L, 1, "prediction", shape);
    if (shape[1] != 2 || shape[0] > INT32_MAX)
        return msagen_fail(L, "pretrain: prediction: expected [places,2], found another shape");
    const uint8_t *const bytes = marks(L, 2, "moved", shape[0]);
    double value = 0.0;
    void *const gradient = result(L, shape);
    check_status(L, of_class(L)->moved(prediction, 2, bytes, (uint32_t)shape[0], gradient, &value));
    lua_pushnumber(L, value);
    lua_insert(L, -2);
    return 2;
}

/* Numbers of a list, in memory that Lua frees. */
static double *numbers(lua_State *L, int at, const char *name, int64_t count)
{
    luaL_checktype(L, at, LUA_TTABLE);
    double *const list = lua_newuserdatauv(L, (size_t)count * sizeof *list, 0);
    for (int64_t i = 0; i < count; ++i) {
        int is_number;
        lua_rawgeti(L, at, i + 1);
        list[i] = lua_tonumberx(L, -1, &is_number);
        if (!is_number)
            msagen_fail(L, "pretrain: %s: expected %d numbers, found others", name, (int)count);
        lua_pop(L, 1);
    }
    return list;
}

static int mixture(lua_State *L)
{
    int64_t shape[2], other[2];
    lua_settop(L, 5);
    const double temperature = luaL_checknumber(L, 5);
    const void *const mixed = matrix(L, 1, "mixed", shape), *const plain = matrix(L, 2, "plain", other);
    if (other[0] != shape[0] || other[1] != shape[1] || shape[0] > 65536 || shape[1] > 65536)
        return msagen_fail(L, "pretrain: plain: expected the shape of mixed, found another");
    const double *const shares = numbers(L, 3, "shares", shape[0]), *const from = numbers(L, 4, "partners", shape[0]);
    uint32_t *const partners = lua_newuserdatauv(L, (size_t)shape[0] * sizeof *partners, 0);
    for (int64_t i = 0; i < shape[0]; ++i) {
        if (!(from[i] >= 0.0 && from[i] < (double)shape[0]))
            return msagen_fail(L, "pretrain: partners: expected numbers of the batch, found %.14g", from[i]);
        partners[i] = (uint32_t)from[i];
    }
    const struct msagen_mixture in = {mixed, plain, shares, partners, (uint32_t)shape[0], (uint32_t)shape[1],
        temperature};
    void *const work = lua_newuserdatauv(L, MSA_MIXTURE_WORK(shape[0], shape[1]) * of_class(L)->bytes, 0);
    double value = 0.0;
    void *const dmixed = result(L, shape), *const dplain = result(L, shape);
    check_status(L, of_class(L)->mixture(&in, work, dmixed, dplain, &value));
    lua_pushnumber(L, value);
    lua_insert(L, -3);
    return 3;
}

/* pretrain.of(class) */
static int of(lua_State *L)
{
    static const luaL_Reg losses[] = {{"reconstruction", reconstruction}, {"moved", moved}, {"mixture", mixture},
        {NULL, NULL}};
    const char *name = luaL_checkstring(L, 1);
    const struct msagen_training *class = msagen_training_of(name);
    if (!class)
        return msagen_fail(L, "arithmetic: expected f32-fma-1, f32-muladd-1 or float64, found %s", name);
    lua_createtable(L, 0, 4);
    lua_pushlightuserdata(L, (void *)(uintptr_t)class);
    luaL_setfuncs(L, losses, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "arithmetic");
    return 1;
}

int luaopen_msagen_pretrain(lua_State *L)
{
    static const luaL_Reg functions[] = {{"of", of}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

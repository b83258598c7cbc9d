/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.enlarge: inside(logits f32 [side,side], width, height, { square = the model's side where it fits the longest
 * side or has mask_square, squashed = mask_square, probabilities }) -> u8 [height,width]: what a product makes of
 * logits for an image of that size, 255 where inside. */
#include "host.h"
#include "msa_runtime.h"
#include "tensor.h"

static uint32_t check_side(lua_State *L, int arg)
{
    const lua_Integer side = luaL_checkinteger(L, arg);
    luaL_argcheck(L, side >= 1 && side <= MSA_MAX_SIDE, arg, "a side of a picture expected");
    return (uint32_t)side;
}

static uint32_t square_of(lua_State *L)
{
    lua_getfield(L, 4, "square");
    const lua_Integer square = luaL_optinteger(L, -1, 0);
    luaL_argcheck(L, square >= 0 && square <= MSA_MAX_SIDE, 4, "a side of a square expected");
    lua_pop(L, 1);
    return (uint32_t)square;
}

static int flag_of(lua_State *L, const char *name)
{
    lua_getfield(L, 4, name);
    const int flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static int inside(lua_State *L)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const uint32_t width = check_side(L, 2), height = check_side(L, 3);
    luaL_checktype(L, 4, LUA_TTABLE);
    luaL_argcheck(L, t->dtype == MSAGEN_F32 && t->dims == 2 && t->shape[0] == t->shape[1] && t->shape[0] >= 1
        && t->shape[0] <= MSA_MAX_SIDE, 1, "f32 [side,side] expected");
    const uint32_t side = (uint32_t)t->shape[0], square = square_of(L), widest = square > side ? square : side;
    const int chances = flag_of(L, "probabilities");
    float *const logits = lua_newuserdatauv(L, sizeof(float) * side * side, 0);
    float *const rows = lua_newuserdatauv(L, sizeof(float) * 2 * widest, 0);
    float *const row = lua_newuserdatauv(L, sizeof(float) * width, 0);
    msagen_tensor_read_f32(t, logits);
    msa_upsampler enlarge;
    msa_upsample_init(&enlarge, logits, side, square, width, height, rows);
    if (flag_of(L, "squashed"))
        msa_upsample_squashed(&enlarge);
    if (chances)
        msa_upsample_probabilities(&enlarge);
    struct msagen_tensor *made = msagen_tensor_zeros("", MSAGEN_U8, 2, (int64_t[]){height, width});
    if (!made)
        return msagen_fail(L, "mask: out of memory");
    msagen_tensor_push(L, made);
    uint8_t *const out = (uint8_t *)(uintptr_t)made->storage->data;
    for (uint32_t y = 0; y < height; ++y) {
        msa_upsample_row(&enlarge, y, row);
        for (uint32_t x = 0; x < width; ++x)
            out[(size_t)y * width + x] = row[x] > (chances ? 0.5f : 0.0f) ? 255 : 0;
    }
    return 1;
}

int luaopen_msagen_enlarge(lua_State *L)
{
    static const luaL_Reg functions[] = {{"inside", inside}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.resize: pictures at the model's size, by the runtime's own resizers, so that their bytes are a build's.
 *   picture(u8 [N,H,W,3], width, height, "bilinear" | "spline" | "area" | "nearest") -> u8 [N,height,width,3]
 *   mask(u8 [N,H,W], width, height, the same) -> u8 [N,height,width]
 *   inside(f32 [side,side], width, height, { square = the model's side where it fits the longest side or has mask_square,
 *     squashed = mask_square, probabilities }) -> u8 [height,width]: logits enlarged to an image, 255 where inside */
#include "host.h"
#include "msa_runtime.h"
#include "tensor.h"

#include <stdlib.h>

enum kind { BILINEAR, SPLINE, AREA, NEAREST };

static const char *const kinds[] = {"bilinear", "spline", "area", "nearest", NULL};

/* A resizer and the memory that it works in. */
struct resizer {
    enum kind kind;
    union {
        msa_resizer bilinear;
        msa_spline spline;
        msa_area area;
        msa_nearest nearest;
    } of;
    void *work;
    size_t work_bytes;
};

static size_t work_bytes(enum kind kind, uint32_t side)
{
    switch (kind) {
    case BILINEAR:
        return MSA_RESIZE_WORK_BYTES((size_t)side);
    case SPLINE:
        return MSA_SPLINE_WORK_BYTES((size_t)side);
    case AREA:
        return MSA_AREA_WORK_BYTES((size_t)side);
    default:
        return 64;
    }
}

static msa_status begin(struct resizer *r, const msa_image *image, uint32_t slice, uint32_t width, uint32_t height)
{
    switch (r->kind) {
    case BILINEAR:
        return msa_resize_init(&r->of.bilinear, image, slice, width, height, r->work, r->work_bytes);
    case SPLINE:
        return msa_spline_init(&r->of.spline, image, slice, width, height, r->work, r->work_bytes);
    case AREA:
        return msa_area_init(&r->of.area, image, slice, width, height, r->work, r->work_bytes);
    default:
        return msa_nearest_init(&r->of.nearest, image, slice, width, height, r->work, r->work_bytes);
    }
}

static void next_row(struct resizer *r, uint8_t *row)
{
    switch (r->kind) {
    case BILINEAR:
        msa_resize_row(&r->of.bilinear, row);
        break;
    case SPLINE:
        msa_spline_row(&r->of.spline, row);
        break;
    case AREA:
        msa_area_row(&r->of.area, row);
        break;
    default:
        msa_nearest_row(&r->of.nearest, row);
        break;
    }
}

static uint32_t check_side(lua_State *L, int arg)
{
    const lua_Integer side = luaL_checkinteger(L, arg);
    luaL_argcheck(L, side >= 1 && side <= MSA_MAX_SIDE, arg, "a side of a picture expected");
    return (uint32_t)side;
}

/* Bytes [N,H,W,3] of a picture, or of a mask repeated as a picture's colours, in memory that Lua frees. */
static uint8_t *pixels_of(lua_State *L, const struct msagen_tensor *t, int colours)
{
    const int64_t n = msagen_tensor_numel(t);
    uint8_t *const bytes = lua_newuserdatauv(L, (size_t)n * (colours ? 1 : 3) + 1, 0);
    msagen_tensor_read_raw(t, 0, n, bytes);
    for (int64_t i = colours ? -1 : n - 1; i >= 0; --i)
        bytes[3 * i] = bytes[3 * i + 1] = bytes[3 * i + 2] = bytes[i];
    return bytes;
}

/* A slice into `out`, of which one colour is kept where it is a mask. */
static msa_status one_slice(struct resizer *r, const msa_image *image, uint32_t slice, uint32_t width, uint32_t height,
                            int colours, uint8_t *row, uint8_t *out)
{
    const msa_status status = begin(r, image, slice, width, height);
    for (uint32_t y = 0; status == MSA_OK && y < height; ++y) {
        next_row(r, colours ? out + (size_t)y * width * 3 : row);
        for (uint32_t x = 0; !colours && x < width; ++x)
            out[(size_t)y * width + x] = row[3 * x];
    }
    return status;
}

static int resize(lua_State *L, int colours)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const uint32_t width = check_side(L, 2), height = check_side(L, 3);
    luaL_argcheck(L, t->dtype == MSAGEN_U8 && t->dims == 3 + colours && (!colours || t->shape[3] == 3), 1,
                  colours ? "u8 [N,H,W,3] expected" : "u8 [N,H,W] expected");
    for (int k = 1; k < 3; ++k)
        luaL_argcheck(L, t->shape[k] >= 1 && t->shape[k] <= MSA_MAX_SIDE, 1, "other sides expected");
    struct resizer r = {.kind = (enum kind)luaL_checkoption(L, 4, NULL, kinds)};
    r.work_bytes = work_bytes(r.kind, width > height ? width : height);
    r.work = lua_newuserdatauv(L, r.work_bytes, 0);
    const size_t row_bytes = 3 * (size_t)t->shape[2], step = (size_t)width * height * (colours ? 3 : 1);
    const msa_image image = {.pixels = pixels_of(L, t, colours), .width = (uint32_t)t->shape[2],
                             .height = (uint32_t)t->shape[1], .stride = row_bytes,
                             .slice_stride = row_bytes * (size_t)t->shape[1]};
    uint8_t *const row = lua_newuserdatauv(L, 3 * (size_t)width, 0);
    struct msagen_tensor *made = msagen_tensor_zeros(t->name, MSAGEN_U8, t->dims,
                                                     (int64_t[]){t->shape[0], height, width, 3});
    if (!made)
        return msagen_fail(L, "%s: out of memory", t->name);
    msagen_tensor_push(L, made);
    uint8_t *const out = (uint8_t *)(uintptr_t)made->storage->data;
    for (int64_t slice = 0; slice < t->shape[0]; ++slice)
        if (one_slice(&r, &image, (uint32_t)slice, width, height, colours, row, out + (size_t)slice * step) != MSA_OK)
            return msagen_fail(L, "%s: expected a picture that can be resized, found another", t->name);
    return 1;
}

static int picture(lua_State *L)
{
    return resize(L, 1);
}

static int mask(lua_State *L)
{
    return resize(L, 0);
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

int luaopen_msagen_resize(lua_State *L)
{
    static const luaL_Reg functions[] = {{"picture", picture}, {"mask", mask}, {"inside", inside}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

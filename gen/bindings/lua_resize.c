/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.resize: pictures and masks to another size, by the resizers that a product has (runtime/msa_runtime.h).
 *   picture(u8 [H,W,3] or [D,H,W,3], height, width, how = "bilinear") -> u8 [height,width,3] or [D,height,width,3]
 *   mask(u8 [H,W] or [D,H,W], height, width, how = "bilinear") -> u8 [height,width] or [D,height,width]
 * how: "bilinear" (Pillow's, bit for bit), "spline", "area" or "nearest"; or "bicubic", Pillow's too, which no product
 * has */
#include "bicubic.h"
#include "host.h"
#include "msa_runtime.h"
#include "tensor_internal.h"

#include <stdlib.h>

/* A resizer in use. */
struct resizer {
    int how;
    union {
        msa_resizer bilinear;
        msa_spline spline;
        msa_area area;
        msa_nearest nearest;
    } of;
};

enum { BILINEAR, SPLINE, AREA, NEAREST, BICUBIC };

static const char *const names[] = {"bilinear", "spline", "area", "nearest", "bicubic", NULL};

static size_t work_bytes(int how, size_t side)
{
    switch (how) {
    case BILINEAR: return MSA_RESIZE_WORK_BYTES(side);
    case SPLINE: return MSA_SPLINE_WORK_BYTES(side);
    case AREA: return MSA_AREA_WORK_BYTES(side);
    default: return MSA_NEAREST_WORK_BYTES(side);
    }
}

static msa_status begin(struct resizer *r, const msa_image *image, uint32_t width, uint32_t height, void *work,
                        size_t bytes)
{
    switch (r->how) {
    case BILINEAR: return msa_resize_init(&r->of.bilinear, image, 0, width, height, work, bytes);
    case SPLINE: return msa_spline_init(&r->of.spline, image, 0, width, height, work, bytes);
    case AREA: return msa_area_init(&r->of.area, image, 0, width, height, work, bytes);
    default: return msa_nearest_init(&r->of.nearest, image, 0, width, height, work, bytes);
    }
}

static void next_row(struct resizer *r, uint8_t *row)
{
    switch (r->how) {
    case BILINEAR: msa_resize_row(&r->of.bilinear, row); break;
    case SPLINE: msa_spline_row(&r->of.spline, row); break;
    case AREA: msa_area_row(&r->of.area, row); break;
    default: msa_nearest_row(&r->of.nearest, row); break;
    }
}

/* What one slice takes. */
struct slice {
    uint8_t *pixels, *row;
    void *work;
    size_t work_bytes, channels;
};

/* A slice of `channels` to out [height][width][channels]. */
static msa_status resize_slice(struct resizer *r, const struct slice *s, uint32_t in_height, uint32_t in_width,
                               uint32_t height, uint32_t width, uint8_t *out)
{
    if (r->how == BICUBIC)
        return msagen_bicubic(s->pixels, in_height, in_width, s->channels, height, width, out) == 0 ? MSA_OK
                                                                                                 : MSA_E_ARENA;
    const msa_image image = {.pixels = s->pixels, .width = in_width, .height = in_height,
                             .stride = (size_t)in_width * 3};
    if (s->channels == 1) /* to three alike, the last first */
        for (size_t i = (size_t)in_width * in_height; i-- > 0;)
            s->pixels[3 * i + 2] = s->pixels[3 * i + 1] = s->pixels[3 * i] = s->pixels[i];
    const msa_status status = begin(r, &image, width, height, s->work, s->work_bytes);
    for (uint32_t y = 0; y < height && status == MSA_OK; ++y) {
        next_row(r, s->row);
        for (size_t i = 0; i < width * s->channels; ++i)
            *out++ = s->row[s->channels == 1 ? 3 * i : i];
    }
    return status;
}

static int resize(lua_State *L, int channels)
{
    const struct msagen_tensor *t = msagen_tensor_check(L, 1);
    const int planes = channels == 3 ? 3 : 2; /* dimensions of one slice */
    const lua_Integer height = luaL_checkinteger(L, 2), width = luaL_checkinteger(L, 3);
    struct resizer r = {.how = luaL_checkoption(L, 4, names[0], names)};
    luaL_argcheck(L, t->dtype == MSAGEN_U8 && (t->dims == planes || t->dims == planes + 1), 1,
                  channels == 3 ? "u8 [H,W,3] or [D,H,W,3] expected" : "u8 [H,W] or [D,H,W] expected");
    const int first = t->dims - planes;
    luaL_argcheck(L, channels == 1 || t->shape[first + 2] == 3, 1, "three colours expected");
    for (int k = 0; k < 2; ++k) {
        const lua_Integer side = k ? width : height, in = t->shape[first + k];
        if (in < 1 || in > (lua_Integer)MSA_MAX_SIDE || side < 1 || side > (lua_Integer)MSA_MAX_SIDE)
            return msagen_fail(L, "%s: expected sides from 1 to %u pixels, found %lld to resize to %lld", t->name,
                               MSA_MAX_SIDE, (long long)in, (long long)side);
    }
    int64_t shape[4] = {first ? t->shape[0] : 0};
    shape[first] = height;
    shape[first + 1] = width;
    shape[first + 2] = 3;
    struct msagen_tensor *made = msagen_tensor_zeros(t->name, MSAGEN_U8, t->dims, shape);
    if (!made)
        return msagen_fail(L, "%s: out of memory", t->name);
    msagen_tensor_push(L, made);
    const uint32_t in_height = (uint32_t)t->shape[first], in_width = (uint32_t)t->shape[first + 1];
    const size_t in_bytes = (size_t)in_height * in_width * (size_t)channels;
    const size_t out_bytes = (size_t)height * (size_t)width * (size_t)channels;
    struct slice s = {.work_bytes = work_bytes(r.how, (size_t)(height > width ? height : width)),
                      .channels = (size_t)channels};
    s.pixels = lua_newuserdatauv(L, (size_t)in_height * in_width * 3, 0);
    s.row = lua_newuserdatauv(L, (size_t)width * 3, 0);
    s.work = lua_newuserdatauv(L, s.work_bytes + 1, 0);
    const int64_t slices = first ? t->shape[0] : 1;
    for (int64_t z = 0; z < slices; ++z) {
        msagen_tensor_read_raw(t, z * (int64_t)in_bytes, (int64_t)in_bytes, s.pixels);
        if (resize_slice(&r, &s, in_height, in_width, (uint32_t)height, (uint32_t)width,
                         (uint8_t *)msagen_tensor_writable(made) + (size_t)z * out_bytes) != MSA_OK)
            return msagen_fail(L, "%s: expected memory to resize to %lld x %lld, found less", t->name,
                               (long long)width, (long long)height);
    }
    lua_settop(L, lua_gettop(L) - 3);
    return 1;
}

static int picture(lua_State *L)
{
    return resize(L, 3);
}

static int mask(lua_State *L)
{
    return resize(L, 1);
}

int luaopen_msagen_resize(lua_State *L)
{
    static const luaL_Reg functions[] = {{"picture", picture}, {"mask", mask}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

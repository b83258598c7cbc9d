/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.image: read(path) -> u8 tensor [H,W,3]; write_png(path, u8 tensor [H,W] or [H,W,3]). */
#include "host.h"
#include "image.h"

enum { ERROR_TEXT = 4096 };

static int read(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_tensor *t = msagen_image_read(luaL_checkstring(L, 1), error, sizeof error);
    if (!t)
        return msagen_fail(L, "%s", error);
    msagen_tensor_push(L, t);
    return 1;
}

static int write_png(lua_State *L)
{
    char error[ERROR_TEXT];
    const char *path = luaL_checkstring(L, 1);
    if (msagen_image_write_png(path, msagen_tensor_check(L, 2), error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    return 0;
}

int luaopen_msagen_image(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", read}, {"write_png", write_png}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

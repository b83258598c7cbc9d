/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.gzip: read(path) -> the text that a file of gzip holds, of at most 64 MiB. */
#include "host.h"

#include <stdlib.h>
#include <zlib.h>

enum { TEXT_MOST = 64 << 20, PART = 1 << 16 };

static int gzip_read(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    luaL_Buffer text;
    size_t bytes = 0;
    int n;
    const gzFile file = gzopen(path, "rb");
    if (!file)
        return msagen_fail(L, "%s: cannot be read", path);
    luaL_buffinit(L, &text);
    while ((n = gzread(file, luaL_prepbuffsize(&text, PART), PART)) > 0 && (bytes += (size_t)n) <= TEXT_MOST)
        luaL_addsize(&text, (size_t)n);
    if (gzclose(file) != Z_OK || n < 0)
        return msagen_fail(L, "%s: damaged: expected a file of gzip", path);
    if (n > 0)
        return msagen_fail(L, "%s: expected at most %d bytes of text, found more", path, TEXT_MOST);
    luaL_pushresult(&text);
    return 1;
}

int luaopen_msagen_gzip(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", gzip_read}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

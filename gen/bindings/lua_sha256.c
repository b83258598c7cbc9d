/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.sha256: hex(string), file(path) -> hex, or nil where there is no regular file, and new() -> h:update(string),
 * h:hex() for what comes in pieces; sha1(string) -> hex, which SPDX asks for beside it. */
#include "explain.h"
#include "host.h"
#include "infile.h"
#include "sha256.h"

#include <errno.h>
#include <nettle/sha1.h>
#include <string.h>
#include <unistd.h>

#define KIND "msagen.sha256"

static int push_hex(lua_State *L, struct sha256_ctx *h)
{
    unsigned char digest[32];
    char text[65];
    sha256_digest(h, SHA256_DIGEST_SIZE, digest);
    msagen_hex(digest, text);
    lua_pushstring(L, text);
    return 1;
}

static int hex(lua_State *L)
{
    size_t bytes;
    const char *data = luaL_checklstring(L, 1, &bytes);
    struct sha256_ctx h;
    sha256_init(&h);
    sha256_update(&h, bytes, (const uint8_t *)data);
    return push_hex(L, &h);
}

static int sha1(lua_State *L)
{
    size_t bytes;
    const char *data = luaL_checklstring(L, 1, &bytes);
    struct sha1_ctx h;
    unsigned char digest[SHA1_DIGEST_SIZE];
    char text[BASE16_ENCODE_LENGTH(SHA1_DIGEST_SIZE)];
    sha1_init(&h);
    sha1_update(&h, bytes, (const uint8_t *)data);
    sha1_digest(&h, SHA1_DIGEST_SIZE, digest);
    base16_encode_update(text, SHA1_DIGEST_SIZE, digest);
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

static int file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char error[MSAGEN_ERROR_BYTES];
    unsigned char part[65536];
    struct stat st;
    struct sha256_ctx h;
    const int fd = msagen_infile_open(path, &st, error, sizeof error);
    if (fd < 0)
        return 0;
    sha256_init(&h);
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            sha256_update(&h, (size_t)n, part);
    const int why = errno;
    close(fd);
    return n < 0 ? msagen_fail(L, "%s: cannot be read: %s", path, strerror(why)) : push_hex(L, &h);
}

static int new(lua_State *L)
{
    sha256_init(lua_newuserdatauv(L, sizeof(struct sha256_ctx), 0));
    luaL_setmetatable(L, KIND);
    return 1;
}

static int update(lua_State *L)
{
    size_t bytes;
    struct sha256_ctx *h = luaL_checkudata(L, 1, KIND);
    const char *data = luaL_checklstring(L, 2, &bytes);
    sha256_update(h, bytes, (const uint8_t *)data);
    lua_settop(L, 1);
    return 1;
}

/* Of what came so far; more may follow. */
static int hex_so_far(lua_State *L)
{
    struct sha256_ctx copy = *(struct sha256_ctx *)luaL_checkudata(L, 1, KIND);
    return push_hex(L, &copy);
}

int luaopen_msagen_sha256(lua_State *L)
{
    static const luaL_Reg methods[] = {{"update", update}, {"hex", hex_so_far}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"hex", hex}, {"file", file}, {"new", new}, {"sha1", sha1}, {NULL, NULL}};
    luaL_newmetatable(L, KIND);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}

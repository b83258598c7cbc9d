/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.blob: the weights blob as the compiler writes it, part by part. */
#include "blob.h"
#include "host.h"
#include "sha256.h"

#include <string.h>

#define KIND "msagen.blob"

enum { ERROR_TEXT = 4096 };

static struct msagen_blob *check(lua_State *L)
{
    struct msagen_blob **box = luaL_checkudata(L, 1, KIND);
    luaL_argcheck(L, *box, 1, "a closed blob");
    return *box;
}

static int blob_abort(lua_State *L)
{
    struct msagen_blob **box = luaL_checkudata(L, 1, KIND);
    msagen_blob_free(*box);
    *box = NULL;
    return 0;
}

/* blob.create(path, {arith = "f32-fma-1", version = 1, segments = 165}) */
static int create(lua_State *L)
{
    char error[ERROR_TEXT];
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "arith");
    const char *arith = luaL_checkstring(L, -1);
    lua_getfield(L, 2, "version");
    luaL_argcheck(L, luaL_optinteger(L, -1, MSAGEN_BLOB_VERSION) == MSAGEN_BLOB_VERSION, 2, "version 1 expected");
    lua_getfield(L, 2, "segments");
    const lua_Integer room = luaL_optinteger(L, -1, MSAGEN_BLOB_SEGMENTS);
    luaL_argcheck(L, room >= 0 && room <= MSAGEN_BLOB_SEGMENTS_MAX, 2, "segments out of range");
    struct msagen_blob **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(L, KIND);
    *box = msagen_blob_create(path, arith, (uint32_t)room, error, sizeof error);
    return *box ? 1 : msagen_fail(L, "%s", error);
}

/* A failure ends the blob: nothing of it stays on the disk until the collector comes by. */
static int give_up(lua_State *L, const char *error)
{
    blob_abort(L);
    return msagen_fail(L, "%s", error);
}

static int push_part(lua_State *L, int status, const struct msagen_blob_part *part, const char *error)
{
    if (status != 0)
        return give_up(L, error);
    lua_pushinteger(L, (lua_Integer)part->offset);
    lua_pushinteger(L, (lua_Integer)part->bytes);
    lua_pushinteger(L, (lua_Integer)part->crc);
    return 3;
}

/* blob:segment(name) */
static int blob_segment(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob *b = check(L);
    return msagen_blob_segment(b, luaL_checkstring(L, 2), error, sizeof error) == 0 ? 0 : give_up(L, error);
}

/* blob:panels(matrix) -> offset, bytes, CRC-32C of these */
static int blob_panels(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob_part part;
    struct msagen_blob *b = check(L);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    return push_part(L, msagen_blob_panels(b, t, &part, error, sizeof error), &part, error);
}

/* blob:rows(matrix, stride) -> offset, bytes, CRC-32C of these */
static int blob_rows(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob_part part;
    struct msagen_blob *b = check(L);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    const lua_Integer stride = luaL_checkinteger(L, 3);
    return push_part(L, msagen_blob_rows(b, t, stride, &part, error, sizeof error), &part, error);
}

/* blob:vector(t [, pad_to]) -> offset, bytes, CRC-32C of these */
static int blob_vector(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob_part part;
    struct msagen_blob *b = check(L);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    const lua_Integer pad_to = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, pad_to >= 0, 3, "a negative size");
    return push_part(L, msagen_blob_vector(b, t, pad_to, &part, error, sizeof error), &part, error);
}

/* blob:panels_int8(matrix [N,K], first, count) -> offset, bytes, CRC-32C of these */
static int blob_panels_int8(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob_part part;
    struct msagen_blob *b = check(L);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    const lua_Integer first = luaL_checkinteger(L, 3), count = luaL_checkinteger(L, 4);
    return push_part(L, msagen_blob_panels_int8(b, t, first, count, &part, error, sizeof error), &part, error);
}

/* blob:panels_bf16(matrix) -> offset, bytes, CRC-32C of these */
static int blob_panels_bf16(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob_part part;
    struct msagen_blob *b = check(L);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    return push_part(L, msagen_blob_panels_bf16(b, t, &part, error, sizeof error), &part, error);
}

/* blob:rows_int8(matrix, stride) -> offset, bytes, CRC-32C of these */
static int blob_rows_int8(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob_part part;
    struct msagen_blob *b = check(L);
    const struct msagen_tensor *t = msagen_tensor_check(L, 2);
    const lua_Integer stride = luaL_checkinteger(L, 3);
    return push_part(L, msagen_blob_rows_int8(b, t, stride, &part, error, sizeof error), &part, error);
}

/* blob:bytes(string) -> offset, bytes, CRC-32C of these */
static int blob_bytes(lua_State *L)
{
    char error[ERROR_TEXT];
    struct msagen_blob_part part;
    struct msagen_blob *b = check(L);
    size_t bytes;
    const char *data = luaL_checklstring(L, 2, &bytes);
    return push_part(L, msagen_blob_bytes(b, data, bytes, &part, error, sizeof error), &part, error);
}

static int digit(int c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* 64 lower-case digits at the top of the stack */
static void check_hash(lua_State *L, unsigned char hash[32])
{
    size_t length;
    const char *text = luaL_checklstring(L, -1, &length);
    int good = length == 64;
    for (int i = 0; good && i < 32; ++i) {
        const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        hash[i] = (unsigned char)(good ? high << 4 | low : 0);
    }
    luaL_argcheck(L, good, 2, "model_hash: 64 lower-case hexadecimal digits expected");
}

static void push_segments(lua_State *L, const struct msagen_blob *b)
{
    uint32_t count;
    const struct msagen_blob_segment *s = msagen_blob_segments(b, &count);
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; ++i) {
        lua_createtable(L, 0, 4);
        lua_pushstring(L, s[i].name);
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, (lua_Integer)s[i].offset);
        lua_setfield(L, -2, "offset");
        lua_pushinteger(L, (lua_Integer)s[i].bytes);
        lua_setfield(L, -2, "bytes");
        lua_pushinteger(L, (lua_Integer)s[i].crc);
        lua_setfield(L, -2, "crc");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* blob:close{model_hash = hex or nil} -> {bytes, sha256 = the file's, model_hash = hex, segments = {{name, offset,
 * bytes, crc}, ...}} */
static int blob_close(lua_State *L)
{
    char error[ERROR_TEXT], hex[65];
    unsigned char given[32], hash[32], file_hash[32];
    uint64_t bytes;
    struct msagen_blob *b = check(L);
    const unsigned char *model_hash = NULL;
    if (lua_istable(L, 2) && lua_getfield(L, 2, "model_hash") != LUA_TNIL) {
        check_hash(L, given);
        model_hash = given;
    }
    if (msagen_blob_close(b, model_hash, hash, file_hash, &bytes, error, sizeof error) != 0)
        return give_up(L, error);
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)bytes);
    lua_setfield(L, -2, "bytes");
    msagen_hex(file_hash, hex);
    lua_pushstring(L, hex);
    lua_setfield(L, -2, "sha256");
    msagen_hex(hash, hex);
    lua_pushstring(L, hex);
    lua_setfield(L, -2, "model_hash");
    push_segments(L, b);
    lua_setfield(L, -2, "segments");
    blob_abort(L); /* nothing is left to abort: this frees it */
    return 1;
}

static const luaL_Reg methods[] = {
    {"segment", blob_segment}, {"panels", blob_panels}, {"rows", blob_rows},   {"vector", blob_vector},
    {"panels_int8", blob_panels_int8}, {"rows_int8", blob_rows_int8}, {"panels_bf16", blob_panels_bf16},
    {"bytes", blob_bytes},     {"close", blob_close},   {"abort", blob_abort}, {NULL, NULL},
};

static const luaL_Reg functions[] = {{"create", create}, {NULL, NULL}};

int luaopen_msagen_blob(lua_State *L)
{
    luaL_newmetatable(L, KIND);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, blob_abort);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, blob_abort);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* lua_checkpoint.c - msagen.checkpoint: checkpoint files for Lua.
 *
 *   open(path [, set])  a checkpoint; an unsound file is an error of the user's, one line that starts with the path.
 *                       set: which of a training file's sets of weights is meant, by its keys, where it has several
 *   open_program(path [, set])   the same, and of a TorchScript program as well, whose tensors are named by the modules
 *                       that hold them; c.metadata is then module -> class
 *   c.set               the keys under which the weights lie: "state_dict", "." for a bare state dict
 *   c.path, c.format    "pth" or "safetensors"
 *   c.container         "state dict", or "training file: epoch, state_dict, ..."
 *   c.metadata          text -> text, of a safetensors or a program; a new table each time
 *   c:names()           array in the file's order
 *   c:has(name)         boolean
 *   c:tensor(name)      view of the mapped file, a storage's CRC checked at its first use
 *   c:verify()          checks the CRC of all that was not checked yet
 *   c:sha256()          lower-case hex of the whole file, after verify(); worked out once
 *   c:unchanged()       refuses a file whose size or time of change is not what it was when it was opened
 *   c:confirm()         the same, and one whose bytes are not what sha256() told: what was read in between is what was
 * hashed
 *   c:forget()          gives the memory pages of the whole file back; they come again when they are read
 *   c:close()           before its time; tensors stay valid */
#include "checkpoint.h"
#include "explain.h"
#include "host.h"
#include "sha256.h"

#include <string.h>

#define KIND "msagen.checkpoint"

/* User value 1 of the userdata is the hash, once it is known. */
static struct msagen_checkpoint *check(lua_State *L)
{
    struct msagen_checkpoint **c = luaL_checkudata(L, 1, KIND);
    luaL_argcheck(L, *c, 1, "it is closed");
    return *c;
}

static int open_by(lua_State *L, struct msagen_checkpoint *(*open)(const char *, const char *, char *, size_t))
{
    const char *path = luaL_checkstring(L, 1), *set = luaL_optstring(L, 2, NULL);
    char why[MSAGEN_ERROR_BYTES];
    struct msagen_checkpoint **c = lua_newuserdatauv(L, sizeof *c, 1);
    *c = NULL;
    luaL_setmetatable(L, KIND);
    *c = open(path, set, why, sizeof why);
    return *c ? 1 : msagen_fail(L, "%s", why);
}

static int checkpoint_open(lua_State *L) { return open_by(L, msagen_checkpoint_open_set); }
static int checkpoint_open_program(lua_State *L) { return open_by(L, msagen_checkpoint_open_program); }

static int checkpoint_close(lua_State *L)
{
    struct msagen_checkpoint **c = luaL_checkudata(L, 1, KIND);
    msagen_checkpoint_close(*c);
    *c = NULL;
    return 0;
}

static int checkpoint_names(lua_State *L)
{
    const struct msagen_checkpoint *c = check(L);
    const size_t count = msagen_checkpoint_count(c);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; ++i) {
        lua_pushstring(L, msagen_checkpoint_name(c, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int checkpoint_has(lua_State *L)
{
    const struct msagen_checkpoint *c = check(L);
    size_t index;
    lua_pushboolean(L, msagen_checkpoint_find(c, luaL_checkstring(L, 2), &index));
    return 1;
}

static int checkpoint_tensor(lua_State *L)
{
    struct msagen_checkpoint *c = check(L);
    const char *name = luaL_checkstring(L, 2);
    char why[MSAGEN_ERROR_BYTES];
    size_t index;
    if (!msagen_checkpoint_find(c, name, &index))
        return msagen_fail(L, "%s: holds no tensor %s", msagen_checkpoint_path(c), name);
    struct msagen_tensor *tensor = msagen_checkpoint_tensor(c, index, why, sizeof why);
    if (!tensor)
        return msagen_fail(L, "%s", why);
    msagen_tensor_push(L, tensor);
    return 1;
}

static int checkpoint_verify(lua_State *L)
{
    char why[MSAGEN_ERROR_BYTES];
    return msagen_checkpoint_verify(check(L), why, sizeof why) ? 0 : msagen_fail(L, "%s", why);
}

static int push_hash(lua_State *L, const struct msagen_checkpoint *c)
{
    enum { PART = 4 << 20 };
    size_t bytes;
    const unsigned char *data = msagen_checkpoint_bytes(c, &bytes);
    struct sha256_ctx hash;
    sha256_init(&hash);
    while (bytes > 0) {
        const size_t part = bytes < PART ? bytes : PART;
        sha256_update(&hash, part, data);
        msagen_checkpoint_release(c, data, part);
        data += part;
        bytes -= part;
    }
    unsigned char digest[32];
    char text[65];
    sha256_digest(&hash, SHA256_DIGEST_SIZE, digest);
    msagen_hex(digest, text);
    lua_pushstring(L, text);
    return 1;
}

static int checkpoint_sha256(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_getiuservalue(L, 1, 1) == LUA_TSTRING)
        return 1;
    checkpoint_verify(L);
    push_hash(L, check(L));
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, 1);
    return 1;
}

static int checkpoint_forget(lua_State *L)
{
    size_t bytes;
    const unsigned char *data = msagen_checkpoint_bytes(check(L), &bytes);
    msagen_checkpoint_release(check(L), data, bytes);
    return 0;
}

static int refuse_change(lua_State *L)
{
    return msagen_fail(L,
        "%s: expected a file that stays as it is, found it changed while it was read: try again when it is written",
                       msagen_checkpoint_path(check(L)));
}

static int checkpoint_unchanged(lua_State *L)
{
    return msagen_checkpoint_changed(check(L)) ? refuse_change(L) : 0;
}

static int checkpoint_confirm(lua_State *L)
{
    lua_settop(L, 1);
    checkpoint_unchanged(L);
    if (lua_getiuservalue(L, 1, 1) != LUA_TSTRING)
        return luaL_error(L, "confirm: sha256() comes first");
    push_hash(L, check(L));
    return lua_rawequal(L, -1, -2) ? checkpoint_unchanged(L) : refuse_change(L);
}

static int push_metadata(lua_State *L, const struct msagen_checkpoint *c)
{
    const char *key, *value;
    lua_newtable(L);
    for (size_t i = 0; msagen_checkpoint_metadata(c, i, &key, &value); ++i) {
        lua_pushstring(L, value);
        lua_setfield(L, -2, key);
    }
    return 1;
}

/* Upvalue 1: the methods. */
static int checkpoint_index(lua_State *L)
{
    const char *field = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    const struct msagen_checkpoint *c = check(L);
    if (strcmp(field, "path") == 0)
        lua_pushstring(L, msagen_checkpoint_path(c));
    else if (strcmp(field, "format") == 0)
        lua_pushstring(L, msagen_checkpoint_format(c));
    else if (strcmp(field, "container") == 0)
        lua_pushstring(L, msagen_checkpoint_container(c));
    else if (strcmp(field, "set") == 0)
        lua_pushstring(L, msagen_checkpoint_set(c));
    else if (strcmp(field, "metadata") == 0)
        return push_metadata(L, c);
    else
        lua_pushnil(L);
    return 1;
}

int luaopen_msagen_checkpoint(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"names", checkpoint_names},   {"has", checkpoint_has},     {"tensor", checkpoint_tensor},
            {"verify", checkpoint_verify},
        {"sha256", checkpoint_sha256}, {"close", checkpoint_close}, {"unchanged", checkpoint_unchanged},
        {"confirm", checkpoint_confirm}, {"forget", checkpoint_forget}, {NULL, NULL},
    };
    static const luaL_Reg functions[] = {{"open", checkpoint_open}, {"open_program", checkpoint_open_program},
        {NULL, NULL}};
    luaL_newmetatable(L, KIND);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, checkpoint_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, checkpoint_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, checkpoint_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}

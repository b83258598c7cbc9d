/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as JSON for Lua; what is accepted must be encoded and read back as the same. */
#include "host.h"

#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Deeper values than the encoder takes are accepted by the decoder. */
static const char script[] = "local json, text = ...\n"
                             "local ok, value = pcall(json.decode, text, 'x')\n"
                             "if not ok then return type(value) == 'table' and type(value.msagen) == 'string' end\n"
                             "local written, again = pcall(json.encode, value)\n"
                             "local function says(words) return again:find(words, 1, true) end\n"
                             "if not written then return says 'nested deeper' or says 'a key holds' end\n"
                             "return json.encode(json.decode(again)) == again and\n"
                             "  json.encode(json.decode(json.encode(value, { indent = 2 }))) == again\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    static int module, function;
    if (!L) {
        L = luaL_newstate();
        luaL_openlibs(L);
        luaL_requiref(L, "msagen.json", luaopen_msagen_json, 0);
        module = luaL_ref(L, LUA_REGISTRYINDEX);
        if (luaL_loadstring(L, script) != LUA_OK)
            abort();
        function = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    lua_rawgeti(L, LUA_REGISTRYINDEX, module);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK || !lua_toboolean(L, -1))
        abort();
    lua_settop(L, 0);
    return 0;
}

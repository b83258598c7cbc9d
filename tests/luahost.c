/* SPDX-License-Identifier: Apache-2.0 */
/* The msagen program with a Lua script in place of its command line: luahost SCRIPT ARGUMENTS... Modules beside the
 * script are found, and `arg` is as the lua program sets it. */
#include "../gen/bindings/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: luahost SCRIPT ARGUMENTS...\n", stderr);
        return 2;
    }
    msagen_cleanup_on_signals();
    lua_State *L = msagen_host_open();
    if (!L) {
        fputs("luahost: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    const char *slash = strrchr(argv[1], '/');
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    if (slash)
        lua_pushlstring(L, argv[1], (size_t)(slash - argv[1]));
    else
        lua_pushliteral(L, ".");
    lua_pushfstring(L, "%s/?.lua;%s", lua_tostring(L, -1), lua_tostring(L, -2));
    lua_setfield(L, -4, "path");
    lua_createtable(L, argc - 2, 1);
    for (int i = 1; i < argc; ++i) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");
    const int status = msagen_host_run(L, argv[1], argc - 2, argv + 2);
    lua_close(L);
    return status;
}

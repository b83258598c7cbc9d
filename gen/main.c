/* SPDX-License-Identifier: Apache-2.0 */
/* The msagen program: runs lua/cli.lua on its arguments. */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    msagen_cleanup_on_signals();
    lua_State *L = msagen_host_open();
    if (!L) {
        fputs("msagen: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    lua_getglobal(L, "msagen");
    lua_getfield(L, -1, "datadir");
    char *script = NULL;
    const char *folder = lua_tostring(L, -1);
    const int length = snprintf(NULL, 0, "%s/lua/cli.lua", folder);
    if (length > 0 && (script = malloc((size_t)length + 1)))
        snprintf(script, (size_t)length + 1, "%s/lua/cli.lua", folder);
    int status = EXIT_FAILURE;
    if (script)
        status = msagen_host_run(L, script, argc - 1, argv + 1);
    free(script);
    lua_close(L);
    return status;
}

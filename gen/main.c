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
    const int status = msagen_host_run(L, NULL, argc - 1, argv + 1);
    lua_close(L);
    return status;
}

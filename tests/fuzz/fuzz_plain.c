/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as what the process of a sandbox writes back; what is taken must be encoded and read back as the
 * same. */
#include "plain.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct msagen_plain encoded(lua_State *L, char *why, size_t bytes)
{
    const struct msagen_plain_limits limits = {.bytes = 1 << 20, .finite = 0};
    struct msagen_plain out = {NULL, 0, 0};
    if (msagen_plain_encode(L, -1, &limits, &out, why, bytes) != 0) {
        free(out.data);
        out = (struct msagen_plain){NULL, 0, 0};
        if (!*why || strpbrk(why, "\n"))
            abort();
    }
    return out;
}

/* A table's fields may come in another order then. */
static int round_trip(lua_State *L)
{
    char why[512] = "";
    struct msagen_plain *given = lua_touserdata(L, 1);
    if (msagen_plain_decode(L, given->data, given->bytes) != 0)
        return 0;
    struct msagen_plain first = encoded(L, why, sizeof why);
    if (!first.data)
        return 0;
    const int again = msagen_plain_decode(L, first.data, first.bytes);
    struct msagen_plain second = {NULL, 0, 0};
    if (again == 0)
        second = encoded(L, why, sizeof why);
    const int same = again == 0 && second.bytes == first.bytes;
    free(first.data);
    free(second.data);
    if (!same)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    if (!L)
        L = luaL_newstate();
    struct msagen_plain given = {malloc(size), size, size};
    if (!L || (size && !given.data))
        abort();
    if (size)
        memcpy(given.data, data, size);
    lua_pushcfunction(L, round_trip);
    lua_pushlightuserdata(L, &given);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    free(given.data);
    return 0;
}

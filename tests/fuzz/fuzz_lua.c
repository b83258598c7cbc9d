/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as what a Lua reader of msagen takes; MSAGEN_READER names one of tests/fuzz/readers.lua. What it
 * refuses it refuses in one line. Pairs of lines of Lua that follow each other count as coverage.
 * Users' Lua runs in this process, in a state of its own under limits on memory and instructions: as in a sandbox, but
 * for the process around it (gen/bindings/sandbox.c), which tests/lua/test_sandbox.lua covers. */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>

#include "host.h"
#include "sandbox.h"

/* Nothing here is part of what is covered. */
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

#define lua_sethook metered
static void metered(lua_State *L, lua_Hook hook, int mask, int count);
#define msagen_sandbox_run forked_run
#include "../../gen/bindings/sandbox.c"
#undef msagen_sandbox_run
#undef lua_sethook

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* ---- a sandbox without a process ---- */

enum { STEP = 1000, MOST_STEPS = 100, MOST_BYTES = 4 << 20, MOST_SECONDS = 1 };

/* The blocks of a state, which are freed without it where it was left in the middle. */
struct block {
    _Alignas(max_align_t) struct block *next, *last;
};
static struct block blocks = {&blocks, &blocks};
static unsigned steps;
static sigjmp_buf out_of_time;
static volatile sig_atomic_t interruptible;

static void take(struct block *block)
{
    block->last->next = block->next;
    block->next->last = block->last;
}

static void list(struct block *block)
{
    block->next = blocks.next;
    block->last = &blocks;
    blocks.next->last = block;
    blocks.next = block;
}

static void *listed(void *user, void *given, size_t before, size_t after)
{
    struct block *const block = given ? (struct block *)given - 1 : NULL;
    if (!block && after == 0)
        return NULL;
    if (block)
        take(block);
    struct block *const moved = allocate(user, block, before + sizeof *block, after ? after + sizeof *block : 0);
    if (moved || (block && after))
        list(moved ? moved : block);
    return moved ? moved + 1 : NULL;
}

static void free_listed(void)
{
    while (blocks.next != &blocks) {
        struct block *first = blocks.next;
        blocks.next = first->next;
        free(first);
    }
    blocks.last = &blocks;
}

static void late(int number)
{
    (void)number;
    if (interruptible)
        siglongjmp(out_of_time, 1);
}

static void count_steps(lua_State *L, lua_Debug *where)
{
    if (where->event == LUA_HOOKLINE)
        on_line(L, where);
    else if (++steps == MOST_STEPS)
        siglongjmp(out_of_time, 1);
}

/* In lua_sethook's place around the user's text. */
static void metered(lua_State *L, lua_Hook hook, int mask, int count)
{
    (void)count;
    lua_sethook(L, hook ? count_steps : NULL, mask ? mask | LUA_MASKCOUNT : 0, STEP);
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value = {hook ? MOST_SECONDS : 0, 0}}, NULL);
    interruptible = hook != NULL;
}

static enum msagen_sandbox_end inside(struct child *c, char *error, size_t error_bytes)
{
    lua_State *L = lua_newstate(listed, c);
    if (!L)
        return MSAGEN_SANDBOX_MEMORY;
    lua_pushcfunction(L, body);
    if (sigsetjmp(out_of_time, 1)) {
        interruptible = 0;
        return MSAGEN_SANDBOX_TIME;
    }
    const int status = lua_pcall(L, 0, 1, 0);
    metered(L, NULL, 0, 0);
    if (status == LUA_OK && lua_toboolean(L, -1))
        return MSAGEN_SANDBOX_RETURNED;
    if (status == LUA_ERRMEM)
        return MSAGEN_SANDBOX_MEMORY;
    const char *text = status == LUA_OK ? c->error : lua_tostring(L, -1);
    msagen_explain(error, error_bytes, "%s", text ? text : "expected an error's text, found another");
    return MSAGEN_SANDBOX_REFUSED;
}

enum msagen_sandbox_end msagen_sandbox_run(const struct msagen_sandbox *sandbox, struct msagen_plain *result, int *line,
                                           char *error, size_t error_bytes)
{
    static struct shared shared;
    struct child *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    shared.line = 0;
    steps = 0;
    c->asked = sandbox;
    c->shared = &shared;
    c->left = sandbox->bytes < MOST_BYTES ? sandbox->bytes : MOST_BYTES;
    const enum msagen_sandbox_end end = inside(c, error, error_bytes);
    free_listed();
    if (end == MSAGEN_SANDBOX_RETURNED)
        *result = c->result;
    else
        free(c->result.data);
    *line = shared.line;
    free(c);
    return end;
}

/* ---- coverage of Lua ---- */

enum { COUNTERS = 1 << 13, NAME = 12 };
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];
static unsigned before_it;

static void count_pair(lua_State *L, lua_Debug *where)
{
    lua_getinfo(L, "S", where);
    unsigned hash = 2166136261u ^ (unsigned)where->currentline;
    for (size_t i = where->srclen > NAME ? where->srclen - NAME : 0; i < where->srclen; ++i)
        hash = (hash ^ (unsigned char)where->source[i]) * 16777619u;
    uint8_t *const counter = &counters[(hash ^ before_it >> 1) % COUNTERS];
    if (*counter < UINT8_MAX)
        ++*counter;
    before_it = hash;
}

/* ---- the reader ---- */

static lua_State *L;
static int reader, changer;

static void open_reader(void)
{
    const char *name = getenv("MSAGEN_READER"), *script = MSAGEN_SOURCE_DIR "/tests/fuzz/readers.lua";
    L = msagen_host_open();
    if (!L || !name) {
        fputs("expected MSAGEN_READER, the name of one of tests/fuzz/readers.lua, found none\n", stderr);
        exit(2);
    }
    if (luaL_loadfile(L, script) != LUA_OK || (lua_pushstring(L, name), lua_pcall(L, 1, 2, 0)) != LUA_OK) {
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        exit(2);
    }
    reader = luaL_ref(L, LUA_REGISTRYINDEX);
    changer = luaL_ref(L, LUA_REGISTRYINDEX);
    signal(SIGPROF, late);
}

/* Every other time as the reader says, where it does. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    size_t bytes = 0;
    lua_settop(L, 0);
    if (seed % 2 == 0 && lua_rawgeti(L, LUA_REGISTRYINDEX, changer) == LUA_TFUNCTION) {
        lua_pushlstring(L, (const char *)data, size);
        lua_pushinteger(L, seed);
        const char *text = lua_pcall(L, 2, 1, 0) == LUA_OK ? lua_tolstring(L, -1, &bytes) : NULL;
        if (text && bytes > 0 && bytes <= most) {
            memcpy(data, text, bytes);
            return bytes;
        }
    }
    return LLVMFuzzerMutate(data, size, most);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!L)
        open_reader();
    before_it = 0;
    lua_sethook(L, count_pair, LUA_MASKLINE, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, reader);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        abort();
    }
    lua_sethook(L, NULL, 0, 0);
    lua_settop(L, 0);
    return 0;
}
#pragma clang attribute pop

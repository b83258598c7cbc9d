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

/* What gen/bindings/sandbox.c does before it decodes its argument is done once, see `prepare`. */
#define luaL_requiref(L, name, open, global) ((void)(open))
#define luaL_loadbufferx push_driver
static int push_driver(lua_State *L, const char *text, size_t bytes, const char *name, const char *mode);
#define lua_sethook metered
static void metered(lua_State *L, lua_Hook hook, int mask, int count);
#define msagen_sandbox_run forked_run
#include "../../gen/bindings/sandbox.c"
#undef msagen_sandbox_run
#undef lua_sethook
#undef luaL_loadbufferx
#undef luaL_requiref

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* ---- a sandbox without a process ---- */

enum { STEP = 1000, MOST_STEPS = 20, MOST_BYTES = 4 << 20, MOST_MICROSECONDS = 20000 };

static unsigned steps;
static sigjmp_buf out_of_time;
static volatile sig_atomic_t interruptible;

/* A sandbox's Lua state lies in one piece of memory, so that a new one is a copy of what was there before the first
 * text ran, and one that was left in the middle needs no end. Free blocks are lists by powers of two. */
enum { SMALLEST = 4, CLASSES = 26 };
static struct memory {
    _Alignas(max_align_t) unsigned char bytes[4 * MOST_BYTES];
    size_t used;
    void *unused[CLASSES];
} memory;
static struct memory prepared;

static unsigned class_of(size_t bytes)
{
    unsigned class = SMALLEST;
    while ((size_t)1 << class < bytes)
        ++class;
    return class;
}

static void *take(size_t bytes)
{
    const unsigned class = class_of(bytes);
    void *block = memory.unused[class];
    if (block) {
        memcpy(&memory.unused[class], block, sizeof block);
    } else if (sizeof memory.bytes - memory.used >= (size_t)1 << class) {
        block = memory.bytes + memory.used;
        memory.used += (size_t)1 << class;
    }
    return block;
}

static void give_back(void *block, size_t bytes)
{
    void **const first = &memory.unused[class_of(bytes)];
    memcpy(block, first, sizeof *first);
    *first = block;
}

/* As `allocate`. */
static void *placed(void *user, void *block, size_t before, size_t after)
{
    struct child *const c = user;
    if (!block)
        before = 0;
    if (after > before && after - before > c->left)
        return NULL;
    void *moved = block;
    if (after && (!block || class_of(after) != class_of(before))) {
        moved = take(after);
        if (!moved)
            return after > before ? NULL : block;
        if (block)
            memcpy(moved, block, before < after ? before : after);
    }
    if (block && (after == 0 || moved != block))
        give_back(block, before);
    c->left = c->left + before - after;
    return after ? moved : NULL;
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
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value = {0, hook ? MOST_MICROSECONDS : 0}}, NULL);
    interruptible = hook != NULL;
}

static const char *driver;
static size_t driver_bytes;

static int push_driver(lua_State *L, const char *text, size_t bytes, const char *name, const char *mode)
{
    (void)name, (void)mode;
    if (bytes != driver_bytes || memcmp(text, driver, bytes) != 0)
        abort();
    lua_getfield(L, LUA_REGISTRYINDEX, "driver");
    return LUA_OK;
}

/* The state that each text finds: libraries opened, the driver compiled. */
static lua_State *prepare(struct child *c)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base}, {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math},
                                         {LUA_UTF8LIBNAME, luaopen_utf8}, {NULL, NULL}};
    driver = strndup(c->asked->driver, c->asked->driver_bytes);
    driver_bytes = c->asked->driver_bytes;
    lua_State *L = lua_newstate(placed, c);
    if (!L || !driver)
        abort();
    for (const luaL_Reg *l = libraries; l->name; ++l)
        luaL_requiref(L, l->name, l->func, 1);
    lua_settop(L, 0);
    if (luaL_loadbufferx(L, driver, driver_bytes, "=sandbox", "t") != LUA_OK)
        abort();
    lua_setfield(L, LUA_REGISTRYINDEX, "driver");
    memcpy(&prepared, &memory, sizeof memory);
    return L;
}

static enum msagen_sandbox_end inside(struct child *c, char *error, size_t error_bytes)
{
    static lua_State *L;
    if (!L)
        L = prepare(c);
    memcpy(memory.bytes, prepared.bytes, prepared.used);
    memcpy(memory.unused, prepared.unused, sizeof memory.unused);
    memory.used = prepared.used;
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
    static struct child child; /* where the state's allocator looks */
    shared.line = 0;
    steps = 0;
    child = (struct child){.asked = sandbox, .shared = &shared};
    child.left = sandbox->bytes < MOST_BYTES ? sandbox->bytes : MOST_BYTES;
    const enum msagen_sandbox_end end = inside(&child, error, error_bytes);
    if (end == MSAGEN_SANDBOX_RETURNED)
        *result = child.result;
    else
        free(child.result.data);
    *line = shared.line;
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

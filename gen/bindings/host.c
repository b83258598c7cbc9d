/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded Lua: finds this installation's files, preloads the C modules, runs a script and reports its errors. */
#define _GNU_SOURCE
#include "host.h"

#include <limits.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const luaL_Reg modules[] = {
    {"msagen.augment", luaopen_msagen_augment},
    {"msagen.blob", luaopen_msagen_blob},
    {"msagen.checkpoint", luaopen_msagen_checkpoint},
    {"msagen.clicks", luaopen_msagen_clicks},
    {"msagen.contour", luaopen_msagen_contour},
    {"msagen.display", luaopen_msagen_display},
    {"msagen.enlarge", luaopen_msagen_enlarge},
    {"msagen.gzip", luaopen_msagen_gzip},
    {"msagen.image", luaopen_msagen_image},
    {"msagen.intensity", luaopen_msagen_intensity},
    {"msagen.json", luaopen_msagen_json},
    {"msagen.libraries", luaopen_msagen_libraries},
    {"msagen.loss", luaopen_msagen_loss},
    {"msagen.mpi", luaopen_msagen_mpi},
    {"msagen.nifti", luaopen_msagen_nifti},
    {"msagen.metrics", luaopen_msagen_metrics},
    {"msagen.npy", luaopen_msagen_npy},
    {"msagen.optimiser", luaopen_msagen_optimiser},
    {"msagen.pretrain", luaopen_msagen_pretrain},
    {"msagen.process", luaopen_msagen_process},
    {"msagen.random", luaopen_msagen_random},
    {"msagen.reference", luaopen_msagen_reference},
    {"msagen.resize", luaopen_msagen_resize},
    {"msagen.safetensors", luaopen_msagen_safetensors},
    {"msagen.overlay", luaopen_msagen_overlay},
    {"msagen.sandbox", luaopen_msagen_sandbox},
    {"msagen.sha256", luaopen_msagen_sha256},
    {"msagen.synth", luaopen_msagen_synth},
    {"msagen.speed", luaopen_msagen_speed},
    {"msagen.sys", luaopen_msagen_sys},
    {"msagen.tensor", luaopen_msagen_tensor},
    {"msagen.tiff", luaopen_msagen_tiff},
    {"msagen.unicode", luaopen_msagen_unicode},
    {NULL, NULL},
};

int msagen_fail(lua_State *L, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    const size_t size = length < 0 ? 1 : (size_t)length + 1;
    lua_createtable(L, 0, 1);
    char *text = lua_newuserdatauv(L, size, 0);
    text[0] = '\0';
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
    lua_pushstring(L, text);
    lua_setfield(L, -3, "msagen");
    lua_pop(L, 1);
    return lua_error(L);
}

static int readable(const char *folder, const char *name)
{
    char path[PATH_MAX + 32];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0;
}

/* The folder that holds lua/, templates/, runtime/ and boards/: beside the program, installed with it, or in the source
 * tree. */
static void find_datadir(char *folder, size_t size)
{
    const char *told = getenv("MSAGEN_DATADIR");
    if (told && *told) {
        snprintf(folder, size, "%s", told);
        return;
    }
    char exe[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = '\0';
        for (int up = 0; up < 2; ++up) {
            char *slash = strrchr(exe, '/');
            if (slash)
                *slash = '\0';
        }
        snprintf(folder, size, "%s", exe);
        if (readable(folder, "lua/cli.lua"))
            return;
        snprintf(folder, size, "%s/share/msagen", exe);
        if (readable(folder, "lua/cli.lua"))
            return;
    }
    snprintf(folder, size, "%s", MSAGEN_SOURCE_DIR);
}

static int open_state(lua_State *L)
{
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (const luaL_Reg *m = modules; m->name; ++m) {
        lua_pushcfunction(L, m->func);
        lua_setfield(L, -2, m->name);
    }
    lua_pop(L, 1);

    char folder[PATH_MAX + 16];
    find_datadir(folder, sizeof folder);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, folder);
    lua_setfield(L, -2, "datadir");
    lua_pushstring(L, MSAGEN_VERSION);
    lua_setfield(L, -2, "version");
    lua_setglobal(L, "msagen");

    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/lua/?.lua;%s/?.lua", folder, MSAGEN_LUA_DIR);
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
    return 0;
}

lua_State *msagen_host_open(void)
{
    lua_State *L = luaL_newstate();
    if (!L)
        return NULL;
    lua_pushcfunction(L, open_state);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        lua_close(L);
        return NULL;
    }
    return L;
}

/* An error of ours stays as it is; anything else is a fault of the program, and gets a trace if the developer asks. */
static int on_error(lua_State *L)
{
    if (lua_istable(L, 1))
        return 1;
    const char *text = luaL_tolstring(L, 1, NULL);
    if (getenv("MSAGEN_TRACE"))
        luaL_traceback(L, L, text, 1);
    return 1;
}

/* Prints the error that it is given. */
static int report(lua_State *L)
{
    const char *prefix = "internal error: ";
    if (lua_istable(L, -1) && lua_getfield(L, -1, "msagen") == LUA_TSTRING)
        prefix = "";
    const char *text = luaL_tolstring(L, -1, NULL);
    /* As the command line has it in colour (lua/cli.lua), or plain. */
    lua_getglobal(L, "msagen");
    const int told = lua_istable(L, -1) && lua_getfield(L, -1, "error_begins") == LUA_TSTRING;
    fprintf(stderr, "%s %s", told ? lua_tostring(L, -1) : "msagen:", prefix);
    const int trace = *prefix && getenv("MSAGEN_TRACE");
    for (; *text; ++text)
        fputc(((unsigned char)*text < ' ' || *text == '\177') && !trace ? ' ' : *text, stderr);
    fputc('\n', stderr);
    return 0;
}

static int status_of(lua_State *L, int ok)
{
    if (ok == LUA_OK)
        return lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : EXIT_SUCCESS;
    if (ok != LUA_ERRMEM) {
        lua_pushcfunction(L, report);
        lua_insert(L, -2);
        ok = lua_pcall(L, 1, 0, 0);
    }
    if (ok != LUA_OK)
        fputs("msagen: out of memory\n", stderr);
    return EXIT_FAILURE;
}

struct run {
    const char *script;
    int argc;
    char **argv;
};

/* All of it protected: memory may be short from the first string on. */
static int run_script(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    const char *script = run->script;
    lua_settop(L, 0);
    if (!script) {
        lua_getglobal(L, "msagen");
        lua_getfield(L, -1, "datadir");
        script = lua_pushfstring(L, "%s/lua/cli.lua", lua_tostring(L, -1));
    }
    if (luaL_loadfile(L, script) != LUA_OK)
        return lua_error(L);
    if (!lua_checkstack(L, run->argc))
        return msagen_fail(L, "too many arguments");
    for (int i = 0; i < run->argc; ++i)
        lua_pushstring(L, run->argv[i]);
    lua_call(L, run->argc, 1);
    return 1;
}

int msagen_host_run(lua_State *L, const char *script, int argc, char **argv)
{
    struct run run = {script, argc, argv};
    lua_settop(L, 0);
    lua_pushcfunction(L, on_error);
    lua_pushcfunction(L, run_script);
    lua_pushlightuserdata(L, &run);
    const int ok = lua_pcall(L, 1, 1, 1);
    int status = status_of(L, ok);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("msagen: standard output: cannot be written\n", stderr);
        status = EXIT_FAILURE;
    }
    msagen_cleanup_now();
    return status;
}

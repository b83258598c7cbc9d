/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.process: a program that is talked with, through pipes to its standard input and from its standard output. */
#define _GNU_SOURCE /* pipe2 */
#include "host.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIND "msagen.process"

extern char **environ;

struct talk {
    pid_t pid;
    int to, from;
};

static struct talk *check(lua_State *L)
{
    struct talk *t = luaL_checkudata(L, 1, KIND);
    if (t->pid <= 0)
        luaL_error(L, "process: it has ended");
    return t;
}

static void shut(struct talk *t)
{
    if (t->to >= 0)
        close(t->to);
    if (t->from >= 0)
        close(t->from);
    t->to = t->from = -1;
}

/* Waits for the end. @return the status as a shell gives it */
static int ended(struct talk *t)
{
    int status = 0;
    shut(t);
    while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    t->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char **words_of(lua_State *L)
{
    const lua_Integer count = luaL_len(L, 1);
    const char **words = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *words, 0);
    for (lua_Integer i = 0; i < count; ++i) {
        lua_rawgeti(L, 1, i + 1);
        words[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1); /* the table still holds it */
    }
    words[count] = NULL;
    return words;
}

/* process.start{program, arguments..., stderr = path or nil} -> a process */
static int start(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "stderr");
    const char *errors = luaL_optstring(L, 2, NULL);
    const char **words = words_of(L);
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0)
        return msagen_fail(L, "%s: cannot be started: %s", words[0], strerror(errno));
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return msagen_fail(L, "%s: cannot be started: %s", words[0], strerror(errno));
    }
    struct talk *t = lua_newuserdatauv(L, sizeof *t, 0);
    *t = (struct talk){0, to[1], from[0]};
    luaL_setmetatable(L, KIND);
    signal(SIGPIPE, SIG_IGN); /* writing says EPIPE */
    const struct msagen_process process = {.argv = (char *const *)words, .env = environ,
        .paths = {NULL, NULL, errors}, .ends = {to[0], from[1], -1}, .apart = 1};
    t->pid = msagen_process_start(&process);
    const int why = errno;
    close(to[0]);
    close(from[1]);
    if (t->pid < 0) {
        shut(t);
        return msagen_fail(L, "%s: cannot be started: %s", words[0], strerror(why));
    }
    return 1;
}

/* process:write(bytes) -> true, or false: it has ended */
static int process_write(lua_State *L)
{
    struct talk *t = check(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    while (size > 0) {
        const ssize_t n = write(t->to, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        bytes += n;
        size -= (size_t)n;
    }
    lua_pushboolean(L, size == 0);
    return 1;
}

/* process:read(count) -> so many bytes, or nil: it has ended before */
static int process_read(lua_State *L)
{
    struct talk *t = check(L);
    const lua_Integer count = luaL_checkinteger(L, 2);
    luaL_argcheck(L, count >= 0, 2, "a number of bytes expected");
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, (size_t)count);
    size_t have = 0;
    while (have < (size_t)count) {
        const ssize_t n = read(t->from, to + have, (size_t)count - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    luaL_pushresultsize(&b, have);
    if (have < (size_t)count)
        lua_pushnil(L);
    return 1;
}

/* process:id() -> the system's number of the process */
static int process_id(lua_State *L)
{
    lua_pushinteger(L, check(L)->pid);
    return 1;
}

/* process:close() -> its status, once it has ended: its input ends here */
static int process_close(lua_State *L)
{
    struct talk *t = luaL_checkudata(L, 1, KIND);
    lua_pushinteger(L, t->pid > 0 ? ended(t) : 0);
    return 1;
}

static int process_gone(lua_State *L)
{
    struct talk *t = luaL_checkudata(L, 1, KIND);
    if (t->pid > 0) {
        kill(t->pid, SIGTERM);
        (void)ended(t);
    }
    return 0;
}

int luaopen_msagen_process(lua_State *L)
{
    static const luaL_Reg methods[] = {{"write", process_write}, {"read", process_read}, {"id", process_id},
        {"close", process_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"start", start}, {NULL, NULL}};
    luaL_newmetatable(L, KIND);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, process_gone);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, process_gone);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Lua text in a process and a Lua state of its own. The child writes one letter, R or X, and the encoded result or a
 * text. */
#define _GNU_SOURCE
#include "sandbox.h"

#include "explain.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A machine may be so busy that a second of processor time takes many; what waits for nothing ends before this. */
enum { WALL_SECONDS = 30, TEXT = 4096 };

/* What the parent sees of a child that it had to end. */
struct shared {
    volatile int line;
};

struct child {
    const struct msagen_sandbox *asked;
    struct shared *shared;
    int fd;
    size_t left; /* that the allocator may still give */
    struct msagen_plain result;
    char error[TEXT];
};

/* ---- the child ---- */

static void *allocate(void *user, void *block, size_t before, size_t after)
{
    struct child *c = user;
    if (!block)
        before = 0; /* then it is the kind of object */
    if (after == 0) {
        free(block);
        c->left += before;
        return NULL;
    }
    if (after > before && after - before > c->left)
        return NULL;
    void *moved = realloc(block, after);
    if (moved)
        c->left = c->left + before - after;
    else if (after <= before)
        return block; /* Lua relies on it */
    return moved;
}

static struct child *child_of(lua_State *L)
{
    void *user;
    lua_getallocf(L, &user);
    return user;
}

static void on_line(lua_State *L, lua_Debug *where)
{
    if (lua_getinfo(L, "S", where) && strcmp(where->source + 1, MSAGEN_SANDBOX_CHUNK) == 0)
        child_of(L)->shared->line = where->currentline;
}

static int body(lua_State *L)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base}, {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math},
                                         {LUA_UTF8LIBNAME, luaopen_utf8}, {NULL, NULL}};
    struct child *c = child_of(L);
    for (const luaL_Reg *l = libraries; l->name; ++l)
        luaL_requiref(L, l->name, l->func, 1);
    lua_settop(L, 0);
    if (luaL_loadbufferx(L, c->asked->driver, c->asked->driver_bytes, "=sandbox", "t") != LUA_OK)
        return lua_error(L);
    if (msagen_plain_decode(L, c->asked->argument, c->asked->argument_bytes) != 0)
        return luaL_error(L, "what it was given cannot be read");
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
    lua_call(L, 1, 1);
    lua_sethook(L, NULL, 0, 0);
    const struct msagen_plain_limits limits = {.bytes = c->asked->result_bytes, .finite = 1};
    lua_pushboolean(L, msagen_plain_encode(L, -1, &limits, &c->result, c->error, sizeof c->error) == 0);
    return 1;
}

/* What is not confined does not begin. */
static void must(int status)
{
    if (status != 0)
        _exit(EXIT_FAILURE);
}

/* As setrlimit, whose first argument has a type of the C library's own. */
#define LIMITED(what, soft, hard) must(setrlimit(what, &(struct rlimit){soft, hard}))

/* Nothing of the parent's is left to it but memory. */
static void confine(struct child *c, pid_t parent)
{
    must(prctl(PR_SET_PDEATHSIG, SIGKILL));
    must(getppid() != parent);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    for (int number = 1; number < NSIG; ++number)
        signal(number, SIG_DFL);
    must(dup2(c->fd, 0));
    c->fd = 0;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 1U, ~0U, 0U) != 0)
#endif
        for (int fd = (int)sysconf(_SC_OPEN_MAX) - 1; fd > 0; --fd)
            close(fd);
    LIMITED(RLIMIT_NOFILE, 0, 0);
    LIMITED(RLIMIT_FSIZE, 0, 0);
    LIMITED(RLIMIT_NPROC, 0, 0);
    LIMITED(RLIMIT_CORE, 0, 0);
    /* The timer is exact, and its signal ends the process; the limit, in whole seconds, is for a timer that fails. */
    const unsigned ms = c->asked->milliseconds;
    LIMITED(RLIMIT_CPU, ms / 1000 + 2, ms / 1000 + 2);
    must(setitimer(ITIMER_PROF, &(struct itimerval){.it_value = {ms / 1000, ms % 1000 * 1000}}, NULL));
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void answer(int fd, char letter, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    while (write(fd, &letter, 1) < 0 && errno == EINTR)
        continue;
    while (bytes) {
        const ssize_t n = write(fd, p, bytes);
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        }
    }
}

static _Noreturn void be_child(struct child *c, pid_t parent)
{
    confine(c, parent);
    c->left = c->asked->bytes;
    lua_State *L = lua_newstate(allocate, c);
    if (!L)
        _exit(EXIT_FAILURE);
    lua_pushcfunction(L, body);
    const int status = lua_pcall(L, 0, 1, 0);
    if (status == LUA_OK && lua_toboolean(L, -1))
        answer(c->fd, 'R', c->result.data, c->result.bytes);
    else if (status == LUA_OK)
        answer(c->fd, 'X', c->error, strlen(c->error));
    else if (status == LUA_ERRMEM)
        answer(c->fd, 'M', NULL, 0);
    else if (lua_type(L, -1) == LUA_TSTRING)
        answer(c->fd, 'X', lua_tostring(L, -1), strnlen(lua_tostring(L, -1), TEXT));
    else
        answer(c->fd, 'X', "expected an error's text, found another", 39);
    _exit(EXIT_SUCCESS); /* no finalizer of the text's runs, and nothing of the parent's is flushed */
}

/* ---- the parent ---- */

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What the child writes, up to its end, which is brought about where it is late. 0, or -1: more than it may be. */
static int collect(int fd, pid_t pid, size_t most, struct msagen_plain *out)
{
    const long long late = now_ms() + WALL_SECONDS * 1000;
    for (;;) {
        if (out->room - out->bytes < 65536) {
            const size_t room = out->room * 2 + 65536;
            unsigned char *larger = out->bytes > most ? NULL : realloc(out->data, room);
            if (!larger) {
                kill(pid, SIGKILL);
                return -1;
            }
            out->data = larger;
            out->room = room;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const long long left = late - now_ms();
        const int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            kill(pid, SIGKILL);
            return 0;
        }
        const ssize_t n = read(fd, out->data + out->bytes, out->room - out->bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        out->bytes += (size_t)n;
    }
}

static enum msagen_sandbox_end judge(const struct msagen_plain *all, int fits, int status, struct msagen_plain *result,
                                     char *error, size_t error_bytes)
{
    const int signal_ = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (fits != 0) {
        msagen_explain(error, error_bytes, "out of memory for its result");
        return MSAGEN_SANDBOX_FAILED;
    }
    if (signal_ == SIGPROF || signal_ == SIGXCPU || signal_ == SIGKILL)
        return MSAGEN_SANDBOX_TIME;
    if (signal_ || WEXITSTATUS(status) != EXIT_SUCCESS || all->bytes == 0) {
        msagen_explain(error, error_bytes, "the process that it ran in ended with %s %d",
                       signal_ ? "signal" : "exit status", signal_ ? signal_ : WEXITSTATUS(status));
        return MSAGEN_SANDBOX_FAILED;
    }
    if (all->data[0] == 'M')
        return MSAGEN_SANDBOX_MEMORY;
    if (all->data[0] == 'X') {
        msagen_explain(error, error_bytes, "%.*s", (int)(all->bytes - 1 < TEXT ? all->bytes - 1 : TEXT),
                       (const char *)all->data + 1);
        return MSAGEN_SANDBOX_REFUSED;
    }
    memmove(all->data, all->data + 1, all->bytes - 1);
    *result = *all;
    --result->bytes;
    return MSAGEN_SANDBOX_RETURNED;
}

static pid_t start(struct child *c, const int ends[2])
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        c->fd = ends[1];
        be_child(c, parent);
    }
    if (pid > 0)
        msagen_cleanup_child(pid);
    const int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return pid;
}

enum msagen_sandbox_end msagen_sandbox_run(const struct msagen_sandbox *sandbox, struct msagen_plain *result, int *line,
                                           char *error, size_t error_bytes)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct child *c = calloc(1, sizeof *c);
    int ends[2] = {-1, -1};
    *line = 0;
    pid_t pid = -1;
    if (shared != MAP_FAILED && c && pipe2(ends, O_CLOEXEC) == 0) {
        c->asked = sandbox;
        c->shared = shared;
        pid = start(c, ends);
        const int why = errno;
        close(ends[1]);
        errno = why;
    }
    enum msagen_sandbox_end end = MSAGEN_SANDBOX_FAILED;
    if (pid > 0) {
        struct msagen_plain all = {NULL, 0, 0};
        int status = 0;
        const int fits = collect(ends[0], pid, sandbox->result_bytes + TEXT, &all);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        msagen_cleanup_child(0);
        *line = shared->line;
        end = judge(&all, fits, status, result, error, error_bytes);
        if (end != MSAGEN_SANDBOX_RETURNED)
            free(all.data);
    } else {
        msagen_explain(error, error_bytes, "no process can be started to run it in: %s", strerror(errno));
    }
    if (ends[0] >= 0)
        close(ends[0]);
    if (shared != MAP_FAILED)
        munmap(shared, sizeof *shared);
    free(c);
    return end;
}

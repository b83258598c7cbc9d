/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.sys: files, folders, processes, the terminal and the CPU, for Lua. Paths are bytes as the kernel takes
 * them. */
#define _GNU_SOURCE
#include "host.h"
#include "infile.h"
#include "outfile.h"
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined __aarch64__ && defined __linux__
#include <sys/auxv.h>
#elif defined __x86_64__ && defined __GNUC__
#include <cpuid.h>
#endif

enum { TEXT_MOST = 64 << 20, START_MOST = 192 };

extern char **environ;

static int fail_errno(lua_State *L, const char *path, const char *what)
{
    return msagen_fail(L, "%s: cannot be %s: %s", path, what, strerror(errno));
}

/* 1, or 0 where there is nothing that this user sees. An error where nobody knows, as of a disk that fails: what is
 * there may not be taken for absent. */
static int seen(lua_State *L, const char *path, struct stat *st)
{
    if (stat(path, st) == 0)
        return 1;
    if (errno == EIO || errno == ENOMEM || errno == ESTALE || errno == EOVERFLOW)
        return fail_errno(L, path, "read");
    return 0;
}

/* exists(path) -> boolean, following links */
static int sys_exists(lua_State *L)
{
    struct stat st;
    lua_pushboolean(L, seen(L, luaL_checkstring(L, 1), &st));
    return 1;
}

/* isdir(path) -> boolean */
static int sys_isdir(lua_State *L)
{
    struct stat st;
    lua_pushboolean(L, seen(L, luaL_checkstring(L, 1), &st) && S_ISDIR(st.st_mode));
    return 1;
}

/* identity(path) -> a string that is equal only for paths of one file or folder, whatever their names and links; its
 * kind: "file", "folder", or "device" for all else; or nil where there is nothing, with true where a link leads
 * there */
static int sys_identity(lua_State *L)
{
    struct stat st;
    const char *path = luaL_checkstring(L, 1);
    if (stat(path, &st) != 0) {
        lua_pushnil(L);
        lua_pushboolean(L, lstat(path, &st) == 0);
        return 2;
    }
    lua_pushfstring(L, "%I:%I", (LUAI_UACINT)st.st_dev, (LUAI_UACINT)st.st_ino);
    lua_pushstring(L, S_ISREG(st.st_mode) ? "file" : S_ISDIR(st.st_mode) ? "folder" : "device");
    return 2;
}

/* mtime_ns(path) -> integer nanoseconds, or nil where there is nothing */
static int sys_mtime_ns(lua_State *L)
{
    struct stat st;
    if (!seen(L, luaL_checkstring(L, 1), &st))
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    return 1;
}

/* size(path) -> bytes, or nil where there is nothing */
static int sys_size(lua_State *L)
{
    struct stat st;
    if (!seen(L, luaL_checkstring(L, 1), &st))
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)st.st_size);
    return 1;
}

/* realpath(path) -> absolute path without links, or nil where there is nothing */
static int sys_realpath(lua_State *L)
{
    char found[PATH_MAX];
    if (realpath(luaL_checkstring(L, 1), found))
        lua_pushstring(L, found);
    else
        lua_pushnil(L);
    return 1;
}

static int byte_order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* list(folder) -> array of names in byte order */
static int sys_list(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_newtable(L);
    struct dirent **names;
    const int n = scandir(path, &names, not_dots, byte_order);
    if (n < 0)
        return fail_errno(L, path, "listed");
    for (int i = 0; i < n; ++i) {
        lua_pushstring(L, names[i]->d_name);
        lua_rawseti(L, -2, i + 1);
        free(names[i]);
    }
    free(names);
    return 1;
}

/* mkdir_p(path) -> array of the folders that were missing and are made, the outermost first */
static int sys_mkdir_p(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char *copy = lua_newuserdatauv(L, strlen(path) + 1, 0);
    strcpy(copy, path);
    lua_newtable(L);
    for (char *p = copy;; ++p) {
        if ((*p && *p != '/') || p == copy)
            continue;
        const char end = *p;
        *p = '\0';
        struct stat st;
        if (mkdir(copy, 0777) == 0) {
            lua_pushstring(L, copy);
            lua_rawseti(L, -2, luaL_len(L, -2) + 1);
        } else if (errno != EEXIST || (!end && (stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)))) {
            return fail_errno(L, copy, "made");
        }
        if (!end)
            return 1;
        *p = end;
    }
}

/* mkdtemp(folder, prefix) -> path of a new folder in `folder`, registered to be removed; it can be entered by its user
 * alone, as mkdtemp(3) makes it. Those that killed processes left there, of a prefix [.]msagen-, go first. */
static int sys_mkdtemp(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1), *prefix = luaL_optstring(L, 2, "");
    const size_t size = strlen(folder) + strlen(prefix) + 8;
    char *path = lua_newuserdatauv(L, size, 0);
    snprintf(path, size, "%s/%sXXXXXX", folder, prefix);
    msagen_sweep(folder);
    if (msagen_temporary_folder(path) != 0)
        return fail_errno(L, folder, "written");
    lua_pushstring(L, path);
    return 1;
}

/* sweep(folder): removes what mkdtemp would */
static int sys_sweep(lua_State *L)
{
    msagen_sweep(luaL_checkstring(L, 1));
    return 0;
}

/* rename(from, to) */
static int sys_rename(lua_State *L)
{
    const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
    if (rename(from, to) != 0)
        return fail_errno(L, to, "written");
    return 0;
}

/* exchange(a, b) -> true: both paths, which exist, have changed places in one step; false: this file system cannot */
static int sys_exchange(lua_State *L)
{
    const char *a = luaL_checkstring(L, 1), *b = luaL_checkstring(L, 2);
#if defined SYS_renameat2 && defined RENAME_EXCHANGE
    if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (errno != ENOSYS && errno != EINVAL)
        return fail_errno(L, b, "written");
#else
    (void)a;
    (void)b;
#endif
    lua_pushboolean(L, 0);
    return 1;
}

/* mkdir(path): as open as the umask says */
static int sys_mkdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (mkdir(path, 0777) != 0)
        return fail_errno(L, path, "made");
    return 0;
}

/* rmdir(path) -> whether it was an empty folder, and is removed */
static int sys_rmdir(lua_State *L)
{
    lua_pushboolean(L, rmdir(luaL_checkstring(L, 1)) == 0);
    return 1;
}

/* sync(path): what was written to the file, or the names that a folder has, is on the disk */
static int sys_sync(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const int failed = fd < 0 || msagen_sync(fd) != 0;
    const int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    if (failed)
        return fail_errno(L, path, "written");
    return 0;
}

/* Whether `path` still leads to what is open as fd. */
static int still_there(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev
        && held.st_ino == named.st_ino;
}

/* lock(path, wait) -> number for unlock: no other process has this folder or file locked; false: one has, and wait is
 * false; nil: it cannot be locked (a file system without locks, nothing there). The lock ends with the process, however
 * that ends. */
static int sys_lock(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    const int operation = LOCK_EX | (lua_toboolean(L, 2) ? 0 : LOCK_NB);
    for (;;) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        int status = -1;
        while (fd >= 0 && (status = flock(fd, operation)) != 0 && errno == EINTR)
            continue;
        if (status == 0 && still_there(fd, path)) {
            lua_pushinteger(L, fd);
            return 1;
        }
        const int busy = errno == EWOULDBLOCK;
        if (fd >= 0)
            close(fd);
        if (status != 0) {
            if (fd >= 0 && busy)
                lua_pushboolean(L, 0);
            else
                lua_pushnil(L);
            return 1;
        }
    }
}

/* unlock(number) */
static int sys_unlock(lua_State *L)
{
    close((int)luaL_checkinteger(L, 1));
    return 0;
}

/* free_bytes(path) -> what may still be written where this is, or nil */
static int sys_free_bytes(lua_State *L)
{
    struct statvfs space;
    if (statvfs(luaL_checkstring(L, 1), &space) != 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)space.f_bavail * (lua_Integer)space.f_frsize);
    return 1;
}

/* readlink(path) -> what a link says, or nil where there is none */
static int sys_readlink(lua_State *L)
{
    char text[PATH_MAX];
    const ssize_t n = readlink(luaL_checkstring(L, 1), text, sizeof text);
    if (n < 0 || n == (ssize_t)sizeof text)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text, (size_t)n);
    return 1;
}

/* Whether the file system may have its root at this folder. */
static int is_mount(const char *path, const struct stat *st)
{
    struct statx x;
    if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_INO, &x) == 0 && x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
        return (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    char above[PATH_MAX];
    struct stat parent;
    const int n = snprintf(above, sizeof above, "%s/..", path);
    return n < 0 || (size_t)n >= sizeof above || stat(above, &parent) != 0 || parent.st_dev != st->st_dev;
}

/* folder(path) -> { uid =, gid =, mode =, device = its file system's number, mount = whether one begins there }, or
 * nil */
static int sys_folder(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat st;
    if (!seen(L, path, &st) || !S_ISDIR(st.st_mode)) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, (lua_Integer)st.st_dev);
    lua_setfield(L, -2, "device");
    lua_pushinteger(L, (lua_Integer)st.st_uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, (lua_Integer)st.st_gid);
    lua_setfield(L, -2, "gid");
    lua_pushinteger(L, (lua_Integer)(st.st_mode & 07777));
    lua_setfield(L, -2, "mode");
    lua_pushboolean(L, is_mount(path, &st));
    lua_setfield(L, -2, "mount");
    return 1;
}

/* hold_signals(held): put off what would end the program, as from a terminal, until hold_signals(false) */
static int sys_hold_signals(lua_State *L)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGPIPE);
    sigprocmask(lua_toboolean(L, 1) ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    return 0;
}

/* signal_held() -> whether something that would end the program was put off by hold_signals */
static int sys_signal_held(lua_State *L)
{
    sigset_t set;
    lua_pushboolean(L, sigpending(&set) == 0
        && (sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1 || sigismember(&set, SIGHUP) == 1));
    return 1;
}

/* chmod(path, mode) */
static int sys_chmod(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (chmod(path, (mode_t)luaL_checkinteger(L, 2)) != 0)
        return fail_errno(L, path, "changed");
    return 0;
}

/* remove_tree(path): file or folder with all in it; nothing there is no error */
static int sys_remove_tree(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (msagen_remove_tree(path) != 0)
        return fail_errno(L, path, "removed");
    return 0;
}

/* cleanup(path): remove it when the program ends, however it ends, unless keep(path) comes first */
static int sys_cleanup(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (msagen_cleanup(path) != 0)
        return msagen_fail(L, "%s: cannot be registered for removal", path);
    return 0;
}

/* cleanup_if_empty(path): the same for a folder, which stays if there is anything in it by then */
static int sys_cleanup_if_empty(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (msagen_cleanup_if_empty(path) != 0)
        return msagen_fail(L, "%s: cannot be registered for removal", path);
    return 0;
}

static int sys_keep(lua_State *L)
{
    msagen_keep(luaL_checkstring(L, 1));
    return 0;
}

/* A file as a string on the stack. */
static int push_file(lua_State *L, const char *path, size_t most, int pipes)
{
    char error[PATH_MAX + 128];
    struct msagen_buffer *file = msagen_infile_read(path, most, pipes, error, sizeof error);
    if (!file)
        return msagen_fail(L, "%s", error);
    lua_pushlstring(L, (const char *)file->data, file->bytes);
    msagen_buffer_unref(file);
    return 1;
}

/* read_file(path, most) -> bytes of a regular file of at most `most` bytes, 64 MiB unless said: large ones are mapped
 * by their readers */
static int sys_read_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return push_file(L, path, (size_t)luaL_optinteger(L, 2, TEXT_MOST), 0);
}

/* read_file_or_pipe(path, most) -> the same, of a pipe too, up to its end */
static int sys_read_file_or_pipe(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return push_file(L, path, (size_t)luaL_optinteger(L, 2, TEXT_MOST), 1);
}

/* read_start(path, bytes) -> the first bytes of a regular file, fewer where it ends before */
static int sys_read_start(lua_State *L)
{
    char error[PATH_MAX + 128], start[START_MOST];
    const char *path = luaL_checkstring(L, 1);
    const lua_Integer bytes = luaL_checkinteger(L, 2);
    luaL_argcheck(L, bytes >= 0 && bytes <= (lua_Integer)sizeof start, 2, "0 to 192 bytes");
    struct stat st;
    const int fd = msagen_infile_open(path, &st, error, sizeof error);
    if (fd < 0)
        return msagen_fail(L, "%s", error);
    ssize_t n = 1;
    size_t got = 0;
    while (got < (size_t)bytes && n != 0) {
        n = pread(fd, start + got, (size_t)bytes - got, (off_t)got);
        if (n < 0 && errno != EINTR)
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    const int why = errno;
    close(fd);
    errno = why;
    if (n < 0)
        return fail_errno(L, path, "read");
    lua_pushlstring(L, start, got);
    return 1;
}

/* write_file(path, bytes, passing): whole or not at all, through a temporary file beside it; a device or a pipe is
 * written directly. Where passing is true, without waiting for the disk. */
static int sys_write_file(lua_State *L)
{
    size_t size;
    const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &size);
    char error[PATH_MAX + 128];
    struct msagen_outfile *f = msagen_outfile_open(path, error, sizeof error);
    if (!f)
        return msagen_fail(L, "%s", error);
    if (lua_toboolean(L, 3))
        msagen_outfile_passing(f);
    msagen_outfile_write(f, bytes, size);
    if (msagen_outfile_finish(f, error, sizeof error) != 0)
        return msagen_fail(L, "%s", error);
    return 0;
}

/* The strings of t[1..], as a vector that exec takes; lives as a userdata on the stack. */
static char **string_vector(lua_State *L, int table, lua_Integer count)
{
    char **vector = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *vector, 0);
    for (lua_Integer i = 0; i < count; ++i) {
        lua_rawgeti(L, table, i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "spawn: element %d is no string", (int)i + 1);
        vector[i] = (char *)(size_t)lua_tostring(L, -1);
        lua_pop(L, 1); /* the table still holds it */
    }
    vector[count] = NULL;
    return vector;
}

/* environ with the entries of the table at `changes` set, or removed where false. Leaves a table that holds the strings
 * and the vector. */
static char **changed_environment(lua_State *L, int changes)
{
    lua_newtable(L);
    const int strings = lua_gettop(L);
    lua_Integer n = 0;
    for (char **e = environ; *e; ++e) {
        const char *equals = strchr(*e, '=');
        lua_pushlstring(L, *e, equals ? (size_t)(equals - *e) : strlen(*e));
        const int unchanged = lua_gettable(L, changes) == LUA_TNIL;
        lua_pop(L, 1);
        if (unchanged) {
            lua_pushstring(L, *e);
            lua_rawseti(L, strings, ++n);
        }
    }
    for (lua_pushnil(L); lua_next(L, changes); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
            lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
            lua_rawseti(L, strings, ++n);
        }
    return string_vector(L, strings, n);
}

static const char *string_field(lua_State *L, const char *name)
{
    const int type = lua_getfield(L, 1, name);
    if (type != LUA_TNIL && type != LUA_TSTRING)
        luaL_error(L, "spawn: %s is no string", name);
    const char *s = lua_tostring(L, -1);
    lua_pop(L, 1);
    return s;
}

static const char waiting_key = 0; /* its address: of while_waiting's function in the registry */
enum { WAITING_MS = 20 };

/* while_waiting(function or nil): it is called again and again while spawn waits for what a program writes. An error in
 * it ends the program, and is spawn's. */
static int sys_while_waiting(lua_State *L)
{
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &waiting_key);
    return 0;
}

/* Waits until the child has written something or is gone, and calls that function meanwhile. 0, or -1: it failed; its
 * error is at the registry's key then, and the child is told to end. */
static int wait_for_output(lua_State *L, int fd, pid_t pid)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (lua_rawgetp(L, LUA_REGISTRYINDEX, &waiting_key) == LUA_TFUNCTION && poll(&p, 1, WAITING_MS) == 0)
        if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
            lua_rawsetp(L, LUA_REGISTRYINDEX, &waiting_key);
            kill(pid, SIGTERM);
            return -1;
        }
    lua_pop(L, 1);
    return 0;
}

/* limits[name], a whole number from 0 on; 0 where there is none. */
static unsigned long long limit_field(lua_State *L, int limits, const char *name, lua_Integer most)
{
    const int type = lua_getfield(L, limits, name);
    const lua_Integer value = type == LUA_TNIL ? 0 : lua_tointeger(L, -1);
    if (type != LUA_TNIL && (!lua_isinteger(L, -1) || value < 1 || value > most))
        luaL_error(L, "spawn: limits.%s is no number of that size", name);
    lua_pop(L, 1);
    return (unsigned long long)value;
}

static struct msagen_limits limits_field(lua_State *L)
{
    struct msagen_limits limits = {0};
    if (lua_getfield(L, 1, "limits") == LUA_TTABLE) {
        const int at = lua_gettop(L);
        limits.wall_s = (unsigned)limit_field(L, at, "wall_s", INT_MAX / 2);
        limits.processor_s = (unsigned)limit_field(L, at, "processor_s", INT_MAX / 2);
        limits.memory_bytes = limit_field(L, at, "memory_bytes", LLONG_MAX / 2);
        limits.file_bytes = limit_field(L, at, "file_bytes", LLONG_MAX / 2);
    }
    lua_pop(L, 1);
    return limits;
}

/* What a program says cannot be read: an error, as of wait_for_output. */
static int unread(lua_State *L, pid_t pid)
{
    lua_createtable(L, 0, 1);
    lua_pushfstring(L, "what a program says cannot be read: %s", strerror(errno));
    lua_setfield(L, -2, "msagen");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &waiting_key);
    kill(pid, SIGTERM);
    return -1;
}

/* Appends to b what the child writes, up to its end; `show`: and passes it on to our own standard error as it comes. */
static int capture_output(lua_State *L, luaL_Buffer *b, int fd, pid_t pid, int show)
{
    for (;;) {
        if (wait_for_output(L, fd, pid) != 0)
            return -1;
        char *room = luaL_prepbuffer(b);
        const ssize_t n = read(fd, room, LUAL_BUFFERSIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return unread(L, pid);
        if (n == 0)
            return 0;
        for (ssize_t shown = 0, m = 1; show && shown < n && m > 0; shown += m)
            m = write(STDERR_FILENO, room + shown, (size_t)(n - shown));
        luaL_addsize(b, (size_t)n);
    }
}

/* The end of a program: its status, what was captured, its peak memory; or the error of while_waiting's function. */
static int spawned(lua_State *L, pid_t pid, luaL_Buffer *b, int capture, int failed)
{
    int status = 0;
    struct rusage usage = {.ru_maxrss = 0};
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    msagen_cleanup_child(0);
    luaL_pushresult(b);
    if (failed) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &waiting_key);
        lua_pushnil(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &waiting_key);
        return lua_error(L);
    }
    const int text = lua_gettop(L);
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (capture)
        lua_pushvalue(L, text);
    else
        lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)usage.ru_maxrss * 1024);
    return 3;
}

/* spawn{program, arguments..., cwd=, env={NAME=value|false}, stdin=path, stdout=path|"capture",
 *       stderr=path|"capture"|"show", limits={wall_s=, processor_s=, memory_bytes=, file_bytes=: see process.h}}
 *   -> status as a shell gives it (128 + signal if killed), what was captured or nil, peak memory in bytes of it and
 *      its children.
 * Streams not named are inherited; both captured: one stream, in order. "show": captured, and passed on to our own as
 * it comes. The program is sent SIGTERM when this one ends. */
static int sys_spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct msagen_process process = {
        .env = environ,
        .cwd = string_field(L, "cwd"),
        .paths = {string_field(L, "stdin"), string_field(L, "stdout"), string_field(L, "stderr")},
        .ends = {-1, -1, -1},
        .limits = limits_field(L),
    };
    process.argv = string_vector(L, 1, luaL_len(L, 1));
    if (!process.argv[0])
        return luaL_error(L, "spawn: no program");
    if (lua_getfield(L, 1, "env") == LUA_TTABLE)
        process.env = changed_environment(L, lua_gettop(L));

    const int show = process.paths[2] && strcmp(process.paths[2], "show") == 0;
    int ends[2] = {-1, -1};
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i < 3; ++i) {
        if (!process.paths[i] || (strcmp(process.paths[i], "capture") != 0 && !(i == 2 && show)))
            continue;
        if (ends[0] < 0 && pipe2(ends, O_CLOEXEC) != 0)
            return fail_errno(L, process.argv[0], "started");
        process.paths[i] = NULL;
        process.ends[i] = ends[1];
    }
    const int capture = ends[0] >= 0;

    fflush(stdout);
    const pid_t pid = msagen_process_start(&process);
    const int why = errno;
    if (capture)
        close(ends[1]);
    const int failed = pid >= 0 && capture && capture_output(L, &b, ends[0], pid, show) != 0;
    if (capture)
        close(ends[0]);
    errno = why;
    if (pid < 0)
        return fail_errno(L, process.argv[0], "started");
    return spawned(L, pid, &b, capture, failed);
}

/* program(name) -> path of a program that was installed or built with this one, or nil: beside it, in the build's gen/,
 * or in libexec/msagen/ beside its bin/ */
static int sys_program(lua_State *L)
{
    static const char *const places[] = {"", "../gen/", "../libexec/msagen/"};
    const char *name = luaL_checkstring(L, 1);
    char exe[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (!slash)
        return 0;
    slash[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        const char *path = lua_pushfstring(L, "%s%s%s", exe, places[i], name);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
            return 1;
        lua_pop(L, 1);
    }
    return 0;
}

/* isatty(fd) -> boolean */
static int sys_isatty(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* columns(fd) -> width of the terminal on a file descriptor, nil if it is none or does not tell */
static int sys_columns(lua_State *L)
{
    struct winsize size;
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 0;
    lua_pushinteger(L, size.ws_col);
    return 1;
}

/* monotonic_ns() -> integer */
static int sys_monotonic_ns(lua_State *L)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushinteger(L, (lua_Integer)t.tv_sec * 1000000000 + t.tv_nsec);
    return 1;
}

/* nproc() -> CPUs that this process may use */
static int sys_nproc(lua_State *L)
{
    cpu_set_t set;
    lua_pushinteger(L, sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1);
    return 1;
}

/* peak_rss() -> bytes, of this process so far */
static int sys_peak_rss(lua_State *L)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    lua_pushinteger(L, (lua_Integer)usage.ru_maxrss * 1024);
    return 1;
}

/* Of cpuid's leaf 7, 1, eax: compilers have no name for it yet that all of them know. */
enum { AVX_VNNI = 1 << 4 };

/* cpu_features() -> set of the instruction sets that CPU and kernel offer, by gcc's names without dots: avx2, fma,
 * avx512f, sse42, ...; neon, crc32, dotprod, ...; and its maker, where that decides between boards: amd */
static int sys_cpu_features(lua_State *L)
{
    lua_newtable(L);
#if defined __x86_64__ && defined __GNUC__
    __builtin_cpu_init();
#define FEATURE(gcc_name, name) \
    if (__builtin_cpu_supports(gcc_name)) { \
        lua_pushboolean(L, 1); \
        lua_setfield(L, -2, name); \
    }
    FEATURE("sse4.2", "sse42")
    FEATURE("avx", "avx")
    FEATURE("avx2", "avx2")
    FEATURE("fma", "fma")
    FEATURE("avx512f", "avx512f")
    FEATURE("avx512bw", "avx512bw")
    FEATURE("avx512dq", "avx512dq")
    FEATURE("avx512vl", "avx512vl")
    FEATURE("avx512vnni", "avx512vnni")
    FEATURE("avx512bf16", "avx512bf16")
    if (__builtin_cpu_is("amd")) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "amd");
    }
    unsigned a = 0, b, c, d;
    if (__builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & AVX_VNNI) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "avxvnni");
    }
#undef FEATURE
#elif defined __aarch64__ && defined __linux__
    const unsigned long capabilities = getauxval(AT_HWCAP);
#define FEATURE(bit, name) \
    if (capabilities & (bit)) { \
        lua_pushboolean(L, 1); \
        lua_setfield(L, -2, name); \
    }
    FEATURE(HWCAP_ASIMD, "neon")
    FEATURE(HWCAP_CRC32, "crc32")
    FEATURE(HWCAP_ASIMDDP, "dotprod")
    FEATURE(HWCAP_ATOMICS, "lse")
#undef FEATURE
#endif
    return 1;
}

int luaopen_msagen_sys(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"chmod", sys_chmod},
        {"cleanup", sys_cleanup},
        {"cleanup_if_empty", sys_cleanup_if_empty},
        {"columns", sys_columns},
        {"cpu_features", sys_cpu_features},
        {"exchange", sys_exchange},
        {"exists", sys_exists},
        {"folder", sys_folder},
        {"free_bytes", sys_free_bytes},
        {"hold_signals", sys_hold_signals},
        {"identity", sys_identity},
        {"isatty", sys_isatty},
        {"isdir", sys_isdir},
        {"keep", sys_keep},
        {"list", sys_list},
        {"lock", sys_lock},
        {"mkdir", sys_mkdir},
        {"mkdir_p", sys_mkdir_p},
        {"mkdtemp", sys_mkdtemp},
        {"monotonic_ns", sys_monotonic_ns},
        {"mtime_ns", sys_mtime_ns},
        {"nproc", sys_nproc},
        {"peak_rss", sys_peak_rss},
        {"program", sys_program},
        {"read_file", sys_read_file},
        {"read_file_or_pipe", sys_read_file_or_pipe},
        {"read_start", sys_read_start},
        {"readlink", sys_readlink},
        {"realpath", sys_realpath},
        {"remove_tree", sys_remove_tree},
        {"rename", sys_rename},
        {"rmdir", sys_rmdir},
        {"signal_held", sys_signal_held},
        {"size", sys_size},
        {"spawn", sys_spawn},
        {"sweep", sys_sweep},
        {"sync", sys_sync},
        {"unlock", sys_unlock},
        {"while_waiting", sys_while_waiting},
        {"write_file", sys_write_file},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Stands between msagen and the C library (LD_PRELOAD): counts calls, and has one of them go wrong.
 * PRELOAD_STATE=PATH, a file of zeros that the processes share: how many calls there were. PRELOAD="MODE CALL":
 *   count 0   PATH.calls gets a line a call, "NUMBER ALL FUNCTION DETAIL": its number among msagen's, 0 where it is not
 *             of these, and among all processes'; of allocations, "aNUMBER 0 FUNCTION SITE", the first three of a site
 *             and then each whose number there is a power of two
 *   fail N    call N fails with an errno that it may have; interrupt N: with EINTR; short N: read or wrote one byte
 *   null N    allocation N fails; exhausted N: and all after it
 *   kill N    msagen is killed before call N
 *   cut N     with all that it has started, as when the power fails, before call N of all
 * PATH.synced has a line for each file or folder that was synchronised: "DEVICE:INODE BYTES SECONDS.NANOSECONDS". */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 4096, SITES = 4096, STDIO_FAILED = 0x20 };
enum mode { OFF, COUNT, FAIL, INTERRUPT, SHORT, NO_MEMORY, EXHAUSTED, KILL, CUT };

struct state {
    atomic_ulong calls, allocations, struck, all, processes;
    pid_t pids[PROCESSES];
};

static struct state *state;
static enum mode mode;
static unsigned long target;
static int ours; /* this process is msagen */
static int log_fd = -1, synced_fd = -1;
static pid_t registered;
static _Thread_local int inside;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    ++inside;
    void *const f = dlsym(RTLD_NEXT, name);
    --inside;
    return f;
}

static void say(int fd, const char *format, ...)
{
    char text[512];
    va_list rest;
    va_start(rest, format);
    ++inside;
    int n = vsnprintf(text, sizeof text, format, rest);
    --inside;
    va_end(rest);
    if (n >= (int)sizeof text)
        n = sizeof text - 1;
    text[n - 1] = '\n';
    const ssize_t written = REAL(write)(fd, text, (size_t)n);
    (void)written;
}

static void strike_down(void)
{
    if (mode == CUT) {
        const pid_t session = getsid(0);
        const unsigned long n = atomic_load(&state->processes);
        for (unsigned long i = 0; i < n && i < PROCESSES; ++i)
            if (state->pids[i] != getpid() && getsid(state->pids[i]) == session)
                kill(state->pids[i], SIGKILL);
    }
    kill(getpid(), SIGKILL);
}

static void enlist(void)
{
    const pid_t pid = getpid();
    if (registered == pid)
        return;
    registered = pid;
    const unsigned long n = atomic_fetch_add(&state->processes, 1);
    if (n < PROCESSES)
        state->pids[n] = pid;
}

/* Counts a call. 1: it is to go wrong. */
static int counted(const char *name, const char *detail)
{
    if (mode == OFF || inside || (!ours && mode != COUNT && mode != CUT))
        return 0;
    enlist();
    if (mode == CUT && atomic_load(&state->struck))
        strike_down();
    const unsigned long all = atomic_fetch_add(&state->all, 1) + 1;
    const unsigned long n = ours ? atomic_fetch_add(&state->calls, 1) + 1 : 0;
    if (mode == COUNT) {
        say(log_fd, "%lu %lu %s %s\n", n, all, name, detail);
        return 0;
    }
    if (mode == NO_MEMORY || mode == EXHAUSTED || (mode == CUT ? all : n) != target)
        return 0;
    atomic_store(&state->struck, 1);
    if (mode == KILL || mode == CUT)
        strike_down();
    return 1;
}

/* Whether a function ends with EINTR where a signal comes. */
static int waits(const char *name)
{
    static const char *const names[] = {"poll", "wait4", "waitpid", "nanosleep", "flock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

/* The same, and sets errno: 1 where the call fails. */
static int fails(const char *name, const char *detail, int why)
{
    /* After a fork the numbers of both processes come as they run: an interruption may meet what knows none. */
    if (!counted(name, detail) || mode == SHORT || (mode == INTERRUPT && !waits(name)))
        return 0;
    errno = mode == INTERRUPT ? EINTR : why;
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    static const char *const names[] = {"off", "count", "fail", "interrupt", "short", "null", "exhausted", "kill",
        "cut"};
    const char *const path = getenv("PRELOAD_STATE"), *const what = getenv("PRELOAD");
    if (!path || !what)
        return;
    char word[16], file[4096];
    const int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || sscanf(what, "%15s %lu", word, &target) != 2)
        _exit(99);
    state = REAL(mmap)(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REAL(close)(fd);
    if (state == MAP_FAILED)
        _exit(99);
    /* Far from the numbers that a program expects to be free. */
    snprintf(file, sizeof file, "%s.calls", path);
    const int calls = REAL(open)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    snprintf(file, sizeof file, "%s.synced", path);
    const int synced = REAL(open)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    log_fd = fcntl(calls, F_DUPFD_CLOEXEC, 500);
    synced_fd = fcntl(synced, F_DUPFD_CLOEXEC, 500);
    REAL(close)(calls);
    REAL(close)(synced);
    ours = strcmp(program_invocation_short_name, "msagen") == 0;
    for (int i = OFF; i <= CUT; ++i)
        if (strcmp(word, names[i]) == 0)
            mode = (enum mode)i;
    if (mode == CUT && ours)
        setsid();
}

/* ---- allocations ---- */

extern void *__libc_malloc(size_t bytes), *__libc_calloc(size_t n, size_t bytes), *__libc_realloc(void *p,
    size_t bytes);

static void note_site(unsigned long n, const char *name, const void *site)
{
    static struct { const void *site; unsigned long seen; } sites[SITES];
    size_t at = (uintptr_t)site / 2 % SITES;
    while (sites[at].site && sites[at].site != site)
        at = (at + 1) % SITES;
    sites[at].site = site;
    const unsigned long seen = ++sites[at].seen;
    if (seen > 3 && (seen & (seen - 1)) != 0)
        return;
    Dl_info info = {NULL, NULL, NULL, NULL};
    ++inside;
    dladdr(site, &info);
    --inside;
    say(log_fd, "a%lu 0 %s %s+%lx\n", n, name, info.dli_fname ? info.dli_fname : "",
        (unsigned long)((uintptr_t)site - (uintptr_t)info.dli_fbase));
}

static int no_memory(const char *name, const void *site)
{
    if (!ours || inside || (mode != COUNT && mode != NO_MEMORY && mode != EXHAUSTED))
        return 0;
    const unsigned long n = atomic_fetch_add(&state->allocations, 1) + 1;
    if (mode == COUNT)
        note_site(n, name, site);
    else if (n == target || (mode == EXHAUSTED && n > target)) {
        atomic_store(&state->struck, 1);
        errno = ENOMEM;
        return 1;
    }
    return 0;
}

void *malloc(size_t bytes)
{
    return no_memory("malloc", __builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    return no_memory("calloc", __builtin_return_address(0)) ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
    /* What shrinks or is freed needs nothing. */
    return bytes && no_memory("realloc", __builtin_return_address(0)) ? NULL : __libc_realloc(p, bytes);
}

/* ---- calls that fail ---- */

#define DO_NOTHING ((void)0)
/* A function of the C library: what it fails with, and what is done all the same where it does. */
#define HOOKED(type, name, parameters, arguments, detail, failed, why, anyway) \
    type name parameters \
    { \
        if (fails(#name, detail, why)) { \
            const int e = errno; \
            anyway; \
            errno = e; \
            return failed; \
        } \
        return REAL(name) arguments; \
    }
#define HOOK(name, parameters, arguments, detail, why) \
    HOOKED(int, name, parameters, arguments, detail, -1, why, DO_NOTHING)

/* A file that may be made is another call. */
#define OPENED(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        const mode_t m = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return fails(flags & O_CREAT ? #name "_creat" : #name, path, EMFILE) ? -1 : REAL(name)(path, flags, m); \
    }
#define OPENED_AT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        const mode_t m = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (fails(flags & O_CREAT ? #name "_creat" : #name, path, EMFILE)) \
            return -1; \
        return REAL(name)(folder, path, flags, m); \
    }
OPENED(open)
OPENED(open64)
OPENED_AT(openat)
OPENED_AT(openat64)
HOOKED(int, close, (int fd), (fd), "", -1, EIO, REAL(close)(fd))

/* What moves bytes moves one alone where it is cut short. */
#define MOVES(name, parameters, arguments, arguments_one, why) \
    ssize_t name parameters \
    { \
        if (!counted(#name, "")) \
            return REAL(name) arguments; \
        if (mode == SHORT) \
            return bytes ? REAL(name) arguments_one : 0; \
        errno = mode == INTERRUPT ? EINTR : why; \
        return -1; \
    }
MOVES(read, (int fd, void *data, size_t bytes), (fd, data, bytes), (fd, data, 1), EIO)
MOVES(pread, (int fd, void *data, size_t bytes, off_t at), (fd, data, bytes, at), (fd, data, 1, at), EIO)
MOVES(pread64, (int fd, void *data, size_t bytes, off_t at), (fd, data, bytes, at), (fd, data, 1, at), EIO)
MOVES(write, (int fd, const void *data, size_t bytes), (fd, data, bytes), (fd, data, 1), ENOSPC)
MOVES(pwrite, (int fd, const void *data, size_t bytes, off_t at), (fd, data, bytes, at), (fd, data, 1, at), ENOSPC)
MOVES(pwrite64, (int fd, const void *data, size_t bytes, off_t at), (fd, data, bytes, at), (fd, data, 1, at), ENOSPC)
HOOKED(off_t, lseek, (int fd, off_t at, int from), (fd, at, from), "", -1, EIO, DO_NOTHING)

static int synchronised(int status, int fd)
{
    struct stat st;
    const int why = errno;
    if (status == 0 && synced_fd >= 0 && REAL(fstat)(fd, &st) == 0)
        say(synced_fd, "%lu:%lu %lld %lld.%09ld\n", (unsigned long)st.st_dev, (unsigned long)st.st_ino,
            (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    errno = why;
    return status;
}

int fsync(int fd)
{
    return fails("fsync", "", EIO) ? -1 : synchronised(REAL(fsync)(fd), fd);
}

int fdatasync(int fd)
{
    return fails("fdatasync", "", EIO) ? -1 : synchronised(REAL(fdatasync)(fd), fd);
}

HOOK(sync_file_range, (int fd, off_t at, off_t bytes, unsigned flags), (fd, at, bytes, flags), "", EIO)
HOOK(ftruncate, (int fd, off_t bytes), (fd, bytes), "", ENOSPC)
HOOK(rename, (const char *from, const char *to), (from, to), to, ENOSPC)
HOOK(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), to, ENOSPC)
HOOK(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), to, ENOSPC)
HOOK(link, (const char *from, const char *to), (from, to), to, ENOSPC)
HOOK(unlink, (const char *path), (path), path, EIO)
HOOK(unlinkat, (int folder, const char *path, int flags), (folder, path, flags), path, EIO)
HOOK(remove, (const char *path), (path), path, EIO)
HOOK(rmdir, (const char *path), (path), path, EIO)
HOOK(mkdir, (const char *path, mode_t m), (path, m), path, ENOSPC)
HOOK(mkdirat, (int folder, const char *path, mode_t m), (folder, path, m), path, ENOSPC)
HOOKED(char *, mkdtemp, (char *path), (path), path, NULL, ENOSPC, DO_NOTHING)
HOOK(chmod, (const char *path, mode_t m), (path, m), path, EPERM)
HOOK(chdir, (const char *path), (path), path, EACCES)
HOOK(stat, (const char *path, struct stat *st), (path, st), path, EIO)
HOOK(lstat, (const char *path, struct stat *st), (path, st), path, EIO)
HOOK(fstat, (int fd, struct stat *st), (fd, st), "", EIO)
HOOK(fstatat, (int folder, const char *path, struct stat *st, int flags), (folder, path, st, flags), path, EIO)
HOOK(stat64, (const char *path, struct stat64 *st), (path, st), path, EIO)
HOOK(lstat64, (const char *path, struct stat64 *st), (path, st), path, EIO)
HOOK(fstat64, (int fd, struct stat64 *st), (fd, st), "", EIO)
HOOK(statx, (int folder, const char *path, int flags, unsigned mask, struct statx *st), (folder, path, flags, mask, st),
    path, EIO)
HOOK(statvfs, (const char *path, struct statvfs *st), (path, st), path, EIO)
HOOK(access, (const char *path, int how), (path, how), path, EIO)
HOOKED(ssize_t, readlink, (const char *path, char *text, size_t bytes), (path, text, bytes), path, -1, EIO, DO_NOTHING)
HOOKED(char *, realpath, (const char *path, char *found), (path, found), path, NULL, EIO, DO_NOTHING)
HOOKED(DIR *, opendir, (const char *path), (path), path, NULL, EMFILE, DO_NOTHING)
HOOKED(struct dirent *, readdir, (DIR *d), (d), "", NULL, EIO, DO_NOTHING)
HOOK(scandir, (const char *path, struct dirent ***list, int (*wanted)(const struct dirent *),
    int (*order)(const struct dirent **, const struct dirent **)), (path, list, wanted, order), path, ENOMEM)
HOOK(flock, (int fd, int how), (fd, how), "", ENOLCK)
HOOKED(void *, mmap, (void *p, size_t bytes, int how, int flags, int fd, off_t at), (p, bytes, how, flags, fd, at), "",
    MAP_FAILED, ENOMEM, DO_NOTHING)
HOOK(madvise, (void *p, size_t bytes, int how), (p, bytes, how), "", EAGAIN)
HOOK(pipe2, (int ends[2], int flags), (ends, flags), "", EMFILE)
HOOKED(pid_t, fork, (void), (), "", -1, EAGAIN, DO_NOTHING)
HOOK(execve, (const char *path, char *const *argv, char *const *env), (path, argv, env), path, EACCES)
HOOK(execvpe, (const char *file, char *const *argv, char *const *env), (file, argv, env), file, EACCES)
HOOK(dup2, (int from, int to), (from, to), "", EBUSY)
HOOK(poll, (struct pollfd *list, nfds_t n, int ms), (list, n, ms), "", ENOMEM)
HOOKED(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags), "", -1, EINTR, DO_NOTHING)
HOOKED(pid_t, wait4, (pid_t pid, int *status, int flags, struct rusage *r), (pid, status, flags, r), "", -1, EINTR,
    DO_NOTHING)
HOOK(nanosleep, (const struct timespec *time, struct timespec *left), (time, left), "", EINTR)
HOOK(setpgid, (pid_t pid, pid_t group), (pid, group), "", EPERM)
HOOK(sched_getaffinity, (pid_t pid, size_t bytes, cpu_set_t *set), (pid, bytes, set), "", EPERM)
HOOK(getrlimit, (__rlimit_resource_t what, struct rlimit *r), (what, r), "", EINVAL)
HOOK(setrlimit, (__rlimit_resource_t what, const struct rlimit *r), (what, r), "", EPERM)
HOOK(getrusage, (__rusage_who_t who, struct rusage *r), (who, r), "", EINVAL)
HOOKED(int, isatty, (int fd), (fd), "", 0, ENOTTY, DO_NOTHING)

int prctl(int what, ...)
{
    va_list rest;
    va_start(rest, what);
    const unsigned long a = va_arg(rest, unsigned long), b = va_arg(rest, unsigned long);
    va_end(rest);
    return fails("prctl", "", EPERM) ? -1 : ((int (*)(int, ...))real("prctl"))(what, a, b, 0ul, 0ul);
}

int ioctl(int fd, unsigned long what, ...)
{
    va_list rest;
    va_start(rest, what);
    void *const p = va_arg(rest, void *);
    va_end(rest);
    return fails("ioctl", "", EIO) ? -1 : ((int (*)(int, unsigned long, ...))real("ioctl"))(fd, what, p);
}

long syscall(long number, ...)
{
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; ++i)
        a[i] = va_arg(rest, long);
    va_end(rest);
    const char *const name = number == SYS_getdents64 ? "getdents64"
        : number == SYS_renameat2                      ? "renameat2"
                                                       : "syscall";
    if (fails(name, number == SYS_renameat2 ? (const char *)(uintptr_t)a[3] : "", EIO))
        return -1;
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- streams: what fails has ferror say so; standard error is what failures are told on ---- */

static int stream_fails(const char *name, FILE *f, int why)
{
    if (f == stderr || !fails(name, f == stdout ? "stdout" : f == stdin ? "stdin" : "", why))
        return 0;
    f->_flags |= STDIO_FAILED;
    return 1;
}

FILE *fopen(const char *path, const char *how)
{
    return fails(*how == 'r' ? "fopen" : "fopen_creat", path, EMFILE) ? NULL : REAL(fopen)(path, how);
}

FILE *fopen64(const char *path, const char *how)
{
    return fails(*how == 'r' ? "fopen" : "fopen_creat", path, EMFILE) ? NULL : REAL(fopen64)(path, how);
}

int fclose(FILE *f)
{
    const int failed = fails("fclose", "", EIO), why = errno, status = REAL(fclose)(f);
    if (!failed)
        return status;
    errno = why;
    return EOF;
}

int fflush(FILE *f)
{
    return f && stream_fails("fflush", f, ENOSPC) ? EOF : REAL(fflush)(f);
}

size_t fread(void *data, size_t size, size_t n, FILE *f)
{
    return stream_fails("fread", f, EIO) ? 0 : REAL(fread)(data, size, n, f);
}

size_t fwrite(const void *data, size_t size, size_t n, FILE *f)
{
    return stream_fails("fwrite", f, ENOSPC) ? 0 : REAL(fwrite)(data, size, n, f);
}

HOOK(fseeko64, (FILE *f, off_t at, int from), (f, at, from), "", EIO)
HOOKED(off_t, ftello64, (FILE *f), (f), "", -1, EIO, DO_NOTHING)

char *fgets(char *line, int bytes, FILE *f)
{
    return stream_fails("fgets", f, EIO) ? NULL : REAL(fgets)(line, bytes, f);
}

int getc(FILE *f)
{
    return stream_fails("getc", f, EIO) ? EOF : REAL(getc)(f);
}

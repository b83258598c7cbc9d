/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves nothing half-written behind: trees registered here go when the program ends early, also by a signal. What a
 * killed program left goes when another one next makes a temporary folder beside it: each holds a lock on its own that
 * ends with it. */
#define _GNU_SOURCE
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_NESTING = 64, MAX_PATHS = 256, MAX_SWEPT = 16, RANDOM = 6 };

/* In every temporary folder: what is swept holds it. */
static const char MARKER[] = ".msagen";

static struct registered {
    char *path;
    int lock;    /* of a temporary folder, held as long as this process lives; or -1 */
    int if_empty; /* not a tree of ours: removed only where nothing is in it */
} paths[MAX_PATHS];
static volatile pid_t child;

/* The kernel's record behind getdents64: opendir may not be called from a signal handler, the system call may. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static int remove_at(int folder, const char *name, int nesting)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (nesting == 0) {
        errno = ELOOP;
        return -1;
    }
    const int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int status = 0;
    _Alignas(8) char buffer[4096];
    for (;;) {
        const long bytes = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (bytes <= 0) {
            if (bytes < 0)
                status = -1;
            break;
        }
        int removed = 0;
        for (long at = 0; at < bytes;) {
            const struct entry *e = (const struct entry *)(const void *)(buffer + at);
            at += e->length;
            if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0 || strcmp(e->name, MARKER) == 0)
                continue;
            if (remove_at(fd, e->name, nesting - 1) == 0)
                removed = 1;
            else
                status = -1;
        }
        /* Removing entries may shift the ones not yet read. */
        if (removed && lseek(fd, 0, SEEK_SET) < 0)
            status = -1;
        if (!removed && status != 0)
            break;
    }
    /* The mark is the last to go: who is killed before has left what the next one finds. */
    if (status == 0 && remove_at(fd, MARKER, nesting - 1) != 0)
        status = -1;
    const int why = errno;
    close(fd);
    errno = why;
    if (status == 0 && unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        status = -1;
    return status;
}

/* Once more where something fails: a temporary folder that stays inside of one that is renamed stays for ever. */
int msagen_remove_tree(const char *path)
{
    if (remove_at(AT_FDCWD, path, MAX_NESTING) == 0)
        return 0;
    return remove_at(AT_FDCWD, path, MAX_NESTING);
}

static void block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, before);
}

static int enter(const char *path, int lock, int if_empty)
{
    char *copy = strdup(path);
    if (!copy)
        return -1;
    sigset_t before;
    block_signals(&before);
    int i = 0;
    while (i < MAX_PATHS && paths[i].path)
        ++i;
    if (i < MAX_PATHS)
        paths[i] = (struct registered){copy, lock, if_empty};
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (i == MAX_PATHS) {
        free(copy);
        return -1;
    }
    return 0;
}

int msagen_cleanup(const char *path)
{
    return enter(path, -1, 0);
}

int msagen_cleanup_if_empty(const char *path)
{
    return enter(path, -1, 1);
}

/* Whether a name is one of msagen_temporary_folder's: [.]msagen-, perhaps a word and a dash, and what mkdtemp appended.
 * */
static int is_temporary(const char *name)
{
    name += *name == '.';
    const size_t length = strlen(name);
    return strncmp(name, "msagen-", 7) == 0 && length >= 7 + RANDOM && name[length - RANDOM - 1] == '-';
}

/* Removes one entry of a folder if it is a temporary folder of a process of this user's that lives no more. One without
 * a mark is of a process that was killed before it made it, if it is empty and as mkdtemp makes it. */
static void sweep_entry(int folder, const char *name)
{
    const int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st, marker;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (fstatat(fd, MARKER, &marker, AT_SYMLINK_NOFOLLOW) == 0)
            remove_at(folder, name, MAX_NESTING);
        else if (errno == ENOENT && (st.st_mode & 07777) == S_IRWXU)
            unlinkat(folder, name, AT_REMOVEDIR);
    }
    close(fd);
}

void msagen_sweep(const char *folder)
{
    static struct { dev_t device; ino_t inode; } swept[MAX_SWEPT];
    static int count;
    struct stat st;
    DIR *all = opendir(folder);
    if (!all)
        return;
    int known = fstat(dirfd(all), &st) != 0;
    for (int i = 0; i < count; ++i)
        known |= swept[i].device == st.st_dev && swept[i].inode == st.st_ino;
    if (!known && count < MAX_SWEPT) {
        swept[count].device = st.st_dev;
        swept[count++].inode = st.st_ino;
    }
    for (const struct dirent *e; !known && (e = readdir(all));)
        if (is_temporary(e->d_name))
            sweep_entry(dirfd(all), e->d_name);
    closedir(all);
}

enum { UNHELD = -1, SWEPT = -2 };

/* Holds the new folder at `path` as this process's, then marks it. The descriptor; UNHELD where locks do not work, and
 * nobody is to sweep; SWEPT where another process took it for one that was left. */
static int hold(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? SWEPT : UNHELD;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int swept = errno == EWOULDBLOCK;
        close(fd);
        return swept ? SWEPT : UNHELD;
    }
    const int marker = openat(fd, MARKER, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (marker >= 0) {
        close(marker);
    } else if (errno == ENOENT) {
        close(fd);
        return SWEPT;
    }
    return fd;
}

/* mkdtemp, with another name where the folder was swept before it was held: 0, or -1 with errno. */
static int make_held(char *path, int *lock)
{
    char *const random = path + strlen(path) - RANDOM;
    do {
        memset(random, 'X', RANDOM);
        if (!mkdtemp(path))
            return -1;
        *lock = hold(path);
    } while (*lock == SWEPT);
    return 0;
}

int msagen_temporary_folder(char *path)
{
    sigset_t before;
    block_signals(&before);
    int lock = UNHELD, status = make_held(path, &lock);
    if (status == 0 && enter(path, lock, 0) != 0) {
        if (lock >= 0)
            close(lock);
        msagen_remove_tree(path);
        errno = ENOMEM;
        status = -1;
    }
    const int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return status;
}

static void forget(struct registered *entry)
{
    if (entry->lock >= 0)
        close(entry->lock);
    free(entry->path);
    entry->path = NULL;
}

void msagen_keep(const char *path)
{
    sigset_t before;
    block_signals(&before);
    for (int i = 0; i < MAX_PATHS; ++i)
        if (paths[i].path && strcmp(paths[i].path, path) == 0)
            forget(&paths[i]);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Trees first, then the folders that may have held them, the innermost first. */
void msagen_cleanup_in_handler(void)
{
    for (int i = 0; i < MAX_PATHS; ++i)
        if (paths[i].path && !paths[i].if_empty)
            msagen_remove_tree(paths[i].path);
    for (int i = MAX_PATHS - 1; i >= 0; --i)
        if (paths[i].path && paths[i].if_empty)
            rmdir(paths[i].path);
}

void msagen_cleanup_now(void)
{
    sigset_t before;
    block_signals(&before);
    msagen_cleanup_in_handler();
    for (int i = 0; i < MAX_PATHS; ++i)
        if (paths[i].path)
            forget(&paths[i]);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void msagen_cleanup_child(long pid)
{
    child = (pid_t)pid;
}

/* Once: a second signal may come to another thread while this one removes, and would end the program by default. */
static void on_signal(int number)
{
    static atomic_flag handling = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&handling))
        return;
    if (child > 0) {
        kill(child, number);
        waitpid(child, NULL, 0); /* or it would write into what is being removed */
    }
    msagen_cleanup_in_handler();
    /* By the default: the shell learns which signal it was. */
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, NULL);
    raise(number);
}

void msagen_cleanup_on_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigfillset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    /* A file size limit is a full disk to us: the write fails, and is reported. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL);
}

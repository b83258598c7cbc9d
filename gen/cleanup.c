/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves nothing half-written behind: trees registered here go when the program ends early, also by a signal. */
#define _GNU_SOURCE
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_NESTING = 64, MAX_PATHS = 64 };

static char *paths[MAX_PATHS];
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
            if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
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
    const int why = errno;
    close(fd);
    errno = why;
    if (status == 0 && unlinkat(folder, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        status = -1;
    return status;
}

int msagen_remove_tree(const char *path)
{
    return remove_at(AT_FDCWD, path, MAX_NESTING);
}

static void block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, before);
}

int msagen_cleanup(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return -1;
    sigset_t before;
    block_signals(&before);
    int i = 0;
    while (i < MAX_PATHS && paths[i])
        ++i;
    if (i < MAX_PATHS)
        paths[i] = copy;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (i == MAX_PATHS) {
        free(copy);
        return -1;
    }
    return 0;
}

int msagen_temporary_folder(char *path)
{
    sigset_t before;
    block_signals(&before);
    int status = mkdtemp(path) ? 0 : -1;
    if (status == 0 && msagen_cleanup(path) != 0) {
        rmdir(path);
        errno = ENOMEM;
        status = -1;
    }
    const int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return status;
}

void msagen_keep(const char *path)
{
    sigset_t before;
    block_signals(&before);
    for (int i = 0; i < MAX_PATHS; ++i)
        if (paths[i] && strcmp(paths[i], path) == 0) {
            free(paths[i]);
            paths[i] = NULL;
        }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void msagen_cleanup_now(void)
{
    sigset_t before;
    block_signals(&before);
    for (int i = 0; i < MAX_PATHS; ++i)
        if (paths[i]) {
            msagen_remove_tree(paths[i]);
            free(paths[i]);
            paths[i] = NULL;
        }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

void msagen_cleanup_child(long pid)
{
    child = (pid_t)pid;
}

void msagen_cleanup_in_handler(void)
{
    for (int i = 0; i < MAX_PATHS; ++i)
        if (paths[i])
            msagen_remove_tree(paths[i]);
}

static void on_signal(int number)
{
    if (child > 0) {
        kill(child, number);
        waitpid(child, NULL, 0); /* or it would write into what is being removed */
    }
    msagen_cleanup_in_handler();
    /* SA_RESETHAND has put the default back: the shell learns which signal it was. */
    raise(number);
}

void msagen_cleanup_on_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigfillset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    /* A file size limit is a full disk to us: the write fails, and is reported. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL);
}

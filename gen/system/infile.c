/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are read: regular ones only, opened without waiting, mapped or read whole, and watched while they are in
 * use. */
#define _GNU_SOURCE
#include "infile.h"

#include "explain.h"
#include "host.h"
#include "tensor_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    COPY_MOST = 1 << 20,    /* a file up to here is not worth a map */
    WRITER_MS = 1000,       /* a pipe that nobody has opened for writing is waited for so long */
    SILENCE_MS = 5000,      /* and one whose writer says nothing */
    TICK_NS = 20000000
};

/* A mapped file. The list of all is what a SIGBUS looks its address up in. */
struct map {
    struct map *next;
    void *data;
    size_t bytes;
    int fd;
    struct stat opened;
    char path[];
};

static struct map *maps;

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/* Any file, pipe or device, without waiting for it. */
static int open_any(const char *path, struct stat *st, char *error, size_t error_bytes)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENXIO) /* what open says of sockets */
        msagen_explain(error, error_bytes, "%s: expected a file, found a socket or a device without a driver", path);
    else if (fd < 0)
        msagen_explain(error, error_bytes, "%s: cannot be read: %s", path, strerror(errno));
    else if (fstat(fd, st) == 0)
        return fd;
    else
        msagen_explain(error, error_bytes, "%s: cannot be read: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int msagen_infile_open(const char *path, struct stat *st, char *error, size_t error_bytes)
{
    const int fd = open_any(path, st, error, error_bytes);
    if (fd < 0 || S_ISREG(st->st_mode))
        return fd;
    close(fd);
    msagen_explain(error, error_bytes, "%s: expected a file, found %s", path, kind_of(st->st_mode));
    return -1;
}

/* Waits for data of a pipe: 0 when there may be some, else -1 and the text. `open` says that somebody has it open to
 * write. */
static int await(int fd, const char *path, bool open, char *error, size_t error_bytes)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, open ? SILENCE_MS : WRITER_MS)) < 0 && errno == EINTR)
        continue;
    if (n > 0)
        return 0;
    if (open)
        msagen_explain(error, error_bytes,
            "%s: expected a file, or a pipe with data, found a pipe silent for %d seconds", path, SILENCE_MS / 1000);
    else
        msagen_explain(error, error_bytes,
            "%s: expected a file, or a pipe with data, found a pipe that nobody writes to", path);
    return -1;
}

/* Appends what fd holds, up to one byte more than `most`. */
static unsigned char *read_to_end(int fd, const char *path, size_t room, size_t most, bool pipe, size_t *bytes,
    char *error, size_t error_bytes)
{
    unsigned char *data = malloc(room);
    size_t used = 0;
    bool fresh = true;
    while (data) {
        if (used == room) {
            unsigned char *larger = realloc(data, room * 2);
            if (!larger)
                break;
            data = larger;
            room *= 2;
        }
        const ssize_t n = read(fd, data + used, room - used);
        if (n > 0) {
            used += (size_t)n;
            fresh = false;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (pipe && (n < 0 ? errno == EAGAIN : fresh)) {
            /* EAGAIN: a writer that says nothing yet. Nothing at the start: no writer, not yet perhaps. */
            fresh = false;
            if (await(fd, path, n < 0, error, error_bytes) != 0) {
                free(data);
                return NULL;
            }
        } else if (n < 0) {
            msagen_explain(error, error_bytes, "%s: cannot be read: %s", path, strerror(errno));
            free(data);
            return NULL;
        } else {
            *bytes = used;
            return data;
        }
        if (used > most) {
            msagen_explain(error, error_bytes, "%s: expected at most %zu MiB, found more", path, most >> 20);
            free(data);
            return NULL;
        }
    }
    free(data);
    msagen_explain(error, error_bytes, "%s: out of memory", path);
    return NULL;
}

static void release_copy(struct msagen_buffer *b)
{
    free(b->owner);
    free(b);
}

struct msagen_buffer *msagen_infile_read(const char *path, size_t most, bool pipes, char *error, size_t error_bytes)
{
    struct stat st;
    const int fd = pipes ? open_any(path, &st, error, error_bytes) : msagen_infile_open(path, &st, error, error_bytes);
    if (fd < 0)
        return NULL;
    const bool pipe = S_ISFIFO(st.st_mode);
    if (!pipe && !S_ISREG(st.st_mode)) {
        close(fd);
        return msagen_tensor_refuse(error, error_bytes, "%s: expected a file or a pipe, found %s", path,
            kind_of(st.st_mode));
    }
    if (st.st_size > 0 && (size_t)st.st_size > most) {
        close(fd);
        return msagen_tensor_refuse(error, error_bytes, "%s: expected at most %zu MiB, found %zu", path, most >> 20,
            (size_t)st.st_size >> 20);
    }
    size_t bytes;
    unsigned char *data = read_to_end(fd, path, (size_t)st.st_size + 4096, most, pipe, &bytes, error, error_bytes);
    close(fd);
    struct msagen_buffer *b = data ? malloc(sizeof *b) : NULL;
    if (data && !b) {
        free(data);
        return msagen_tensor_refuse(error, error_bytes, "%s: out of memory", path);
    }
    if (b)
        *b = (struct msagen_buffer){.refs = 1, .data = data, .bytes = bytes, .release = release_copy, .owner = data};
    return b;
}

/* ---- maps ---- */

static void say(const char *text)
{
    const ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

/* A page of a map that the file no longer has, or that the disk does not give. Anything else is a fault of the program.
 * */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    const struct map *m = maps;
    while (m && ((uintptr_t)info->si_addr < (uintptr_t)m->data
        || (uintptr_t)info->si_addr - (uintptr_t)m->data >= m->bytes))
        m = m->next;
    if (!m) {
        signal(number, SIG_DFL);
        return; /* and the instruction faults again */
    }
    struct stat now;
    const int shorter = fstat(m->fd, &now) == 0 && now.st_size < m->opened.st_size;
    if (isatty(STDERR_FILENO))
        say("\r\33[K");
    say("msagen: ");
    for (const char *p = m->path; *p; ++p)
        say((char[]){(unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p, '\0'});
    say(shorter ? ": expected a file that stays as it is, found it cut short while it was read\n"
                : ": cannot be read: the disk or the network that it is on failed\n");
    msagen_cleanup_in_handler();
    _exit(EXIT_FAILURE);
}

static void watch_bus_errors(void)
{
    static int watching;
    if (watching)
        return;
    watching = 1;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigfillset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static void release_map(struct msagen_buffer *b)
{
    struct map *m = b->owner, **link = &maps;
    while (*link != m)
        link = &(*link)->next;
    *link = m->next;
    if (m->bytes)
        munmap(m->data, m->bytes);
    close(m->fd);
    free(m);
    free(b);
}

/* The clock of files ticks a few milliseconds at a time: a file written just now could be written again without its
 * time showing it. */
static void settle(struct map *m)
{
    struct timespec now;
    for (int tries = 0; tries < 4; ++tries) {
        clock_gettime(CLOCK_REALTIME, &now);
        const long long age = (long long)(now.tv_sec - m->opened.st_mtim.tv_sec) * 1000000000
            + (now.tv_nsec - m->opened.st_mtim.tv_nsec);
        if (age < 0 || age > TICK_NS)
            return;
        nanosleep(&(struct timespec){0, TICK_NS}, NULL);
        if (fstat(m->fd, &m->opened) != 0 || (size_t)m->opened.st_size != m->bytes)
            return; /* and it will be seen to have changed */
    }
}

struct msagen_buffer *msagen_buffer_map(const char *path, char *error, size_t error_bytes)
{
    struct map *m = malloc(sizeof *m + strlen(path) + 1);
    struct msagen_buffer *b = malloc(sizeof *b);
    if (!m || !b) {
        msagen_explain(error, error_bytes, "%s: out of memory", path);
        free(m);
        free(b);
        return NULL;
    }
    strcpy(m->path, path);
    m->fd = msagen_infile_open(path, &m->opened, error, error_bytes);
    m->bytes = m->fd < 0 ? 0 : (size_t)m->opened.st_size;
    m->data = m->bytes ? mmap(NULL, m->bytes, PROT_READ, MAP_PRIVATE, m->fd, 0) : NULL;
    if (m->data == MAP_FAILED)
        msagen_explain(error, error_bytes, "%s: cannot be mapped: %s", path, strerror(errno));
    if (m->fd < 0 || m->data == MAP_FAILED) {
        if (m->fd >= 0)
            close(m->fd);
        free(m);
        free(b);
        return NULL;
    }
    settle(m);
    watch_bus_errors();
    m->next = maps;
    maps = m;
    *b = (struct msagen_buffer){.refs = 1, .data = m->data, .bytes = m->bytes, .release = release_map, .owner = m};
    return b;
}

struct msagen_buffer *msagen_infile_load(const char *path, char *error, size_t error_bytes)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= COPY_MOST)
        return msagen_infile_read(path, COPY_MOST, false, error, error_bytes);
    return msagen_buffer_map(path, error, error_bytes);
}

bool msagen_buffer_changed(const struct msagen_buffer *buffer)
{
    const struct msagen_buffer *root = msagen_buffer_root(buffer);
    if (root->release != release_map)
        return false;
    const struct map *m = root->owner;
    struct stat now;
    return fstat(m->fd, &now) != 0 || now.st_size != m->opened.st_size
        || now.st_mtim.tv_sec != m->opened.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != m->opened.st_mtim.tv_nsec;
}

void msagen_tensor_forget(const struct msagen_tensor *t)
{
    const struct msagen_buffer *map = msagen_buffer_root(t->storage);
    if (map->release != release_map || msagen_tensor_numel(t) == 0)
        return;
    int64_t reach = 0;
    for (int i = 0; i < t->dims; ++i)
        reach += (t->shape[i] - 1) * t->stride[i];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t base = (uintptr_t)map->data;
    const uintptr_t from = ((uintptr_t)msagen_tensor_element(t, 0) - base) / page * page;
    uintptr_t to = ((uintptr_t)msagen_tensor_element(t, reach) - base + msagen_dtype_bytes(t->dtype) + page
        - 1) / page * page;
    if (to > map->bytes)
        to = map->bytes;
    madvise((char *)(uintptr_t)map->data + from, to - from, MADV_DONTNEED);
}

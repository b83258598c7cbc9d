/* SPDX-License-Identifier: 0BSD */
/* msa_semihosting.c - the test bench's operating system, no part of the product: files, console, time and the command
 * line of the host that runs the emulator or the debug probe (Arm's semihosting), as the system calls of newlib, the C
 * library that the test bench alone is linked with. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum operation {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_SEEK = 0x0a,
    SYS_FLEN = 0x0c,
    SYS_ERRNO = 0x13,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20,
    SYS_ELAPSED = 0x30,
    SYS_TICKFREQ = 0x31
};

#define APPLICATION_EXIT 0x20026u
#define FILES 16
#define ARGUMENTS 8

/* Of an open file the host's handle and the place where it reads or writes next. */
static struct file {
    bool open;
    int handle;
    uint32_t at;
} files[FILES];

int __real_main(int argc, char **argv);
int __wrap_main(void);
double msa_run_now_ms(void); /* msa_run.h */
void msa_fault(void);
void _exit(int status) __attribute__((noreturn));
int _open(const char *path, int flags, ...);
int _close(int fd);
int _read(int fd, char *to, int bytes);
int _write(int fd, const char *from, int bytes);
int _lseek(int fd, int offset, int whence);
int _fstat(int fd, struct stat *info);
int _isatty(int fd);
int _getpid(void);
int _kill(int pid, int signal);
void *_sbrk(ptrdiff_t bytes);
void _fini(void);

/* msa_board.ld's. */
extern unsigned char msa_heap[], msa_heap_end[];

static int host(enum operation what, const void *parameters)
{
    register int r0 __asm__("r0") = (int)what;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t address(const void *p)
{
    return (uint32_t)(uintptr_t)p;
}

static int failed(void)
{
    errno = host(SYS_ERRNO, NULL);
    return -1;
}

/* The console's files are opened when they are used first. */
static struct file *file_of(int fd)
{
    static const char console[] = ":tt";
    static const uint32_t modes[3] = {0, 4, 8}; /* "r", "w", "a": standard input, output, error */
    if (fd < 0 || fd >= FILES) {
        return NULL;
    }
    if (fd < 3 && !files[fd].open) {
        const uint32_t block[3] = {address(console), modes[fd], sizeof console - 1u};
        files[fd].handle = host(SYS_OPEN, block);
        files[fd].open = files[fd].handle != -1;
    }
    return files[fd].open ? &files[fd] : NULL;
}

int _open(const char *path, int flags, ...)
{
    /* "ab", "rb", "wb" */
    const uint32_t mode = (flags & O_APPEND) != 0 ? 9u : (flags & O_ACCMODE) == O_RDONLY ? 1u : 5u;
    int fd = 3;
    while (fd < FILES && files[fd].open) {
        ++fd;
    }
    if (fd == FILES || (flags & O_ACCMODE) == O_RDWR) {
        errno = fd == FILES ? EMFILE : EINVAL;
        return -1;
    }
    const uint32_t block[3] = {address(path), mode, (uint32_t)strlen(path)};
    const int handle = host(SYS_OPEN, block);
    if (handle == -1) {
        return failed();
    }
    files[fd].open = true;
    files[fd].handle = handle;
    files[fd].at = 0;
    return fd;
}

int _close(int fd)
{
    struct file *const file = file_of(fd);
    if (file == NULL) {
        errno = EBADF;
        return -1;
    }
    const uint32_t block[1] = {(uint32_t)file->handle};
    file->open = false;
    return host(SYS_CLOSE, block) == 0 ? 0 : failed();
}

/* The host says how many bytes it has not read or written. */
static int transfer(enum operation what, int fd, const char *memory, int bytes)
{
    struct file *const file = file_of(fd);
    if (file == NULL) {
        errno = EBADF;
        return -1;
    }
    const uint32_t block[3] = {(uint32_t)file->handle, address(memory), (uint32_t)bytes};
    const int rest = host(what, block);
    if (rest < 0 || rest > bytes || (what == SYS_WRITE && rest == bytes && bytes > 0)) {
        return failed();
    }
    file->at += (uint32_t)(bytes - rest);
    return bytes - rest;
}

int _read(int fd, char *to, int bytes)
{
    return transfer(SYS_READ, fd, to, bytes);
}

int _write(int fd, const char *from, int bytes)
{
    return transfer(SYS_WRITE, fd, from, bytes);
}

int _lseek(int fd, int offset, int whence)
{
    struct file *const file = file_of(fd);
    if (file == NULL) {
        errno = EBADF;
        return -1;
    }
    const uint32_t handle[1] = {(uint32_t)file->handle};
    const int from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int)file->at : host(SYS_FLEN, handle);
    if (from < 0 || offset < -from) {
        errno = EINVAL;
        return -1;
    }
    const uint32_t block[2] = {(uint32_t)file->handle, (uint32_t)(from + offset)};
    if (host(SYS_SEEK, block) != 0) {
        return failed();
    }
    file->at = block[1];
    return from + offset;
}

int _fstat(int fd, struct stat *info)
{
    memset(info, 0, sizeof *info);
    info->st_mode = fd < 3 ? S_IFCHR : S_IFREG;
    info->st_blksize = 4096;
    return 0;
}

int _isatty(int fd)
{
    return fd < 3;
}

int _getpid(void)
{
    return 1;
}

int _kill(int pid, int signal)
{
    (void)pid;
    _exit(128 + signal);
}

void *_sbrk(ptrdiff_t bytes)
{
    static size_t used;
    if (bytes > msa_heap_end - msa_heap - (ptrdiff_t)used) {
        errno = ENOMEM;
        return (void *)-1;
    }
    unsigned char *const p = msa_heap + used;
    used = (size_t)((ptrdiff_t)used + bytes);
    return p;
}

/* exit() calls it. */
void _fini(void)
{
}

void _exit(int status)
{
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)status};
    for (;;) {
        host(SYS_EXIT_EXTENDED, block);
    }
}

/* Faults end the run. */
void msa_fault(void)
{
    host(SYS_WRITE0, "the processor took a fault\n");
    _exit(EXIT_FAILURE);
}

double msa_run_now_ms(void)
{
    uint32_t ticks[2];
    host(SYS_ELAPSED, ticks);
    return ((double)ticks[1] * 4294967296.0 + (double)ticks[0]) * (1e3 / (double)host(SYS_TICKFREQ, NULL));
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What msa_start.c calls. Blanks part the arguments of the host's command line; within one a byte may be written
 * %XX. */
int __wrap_main(void)
{
    static char line[16384];
    static char *argv[ARGUMENTS + 1];
    uint32_t block[2] = {address(line), sizeof line};
    int argc = 0;
    if (host(SYS_GET_CMDLINE, block) != 0) {
        line[0] = 0;
    }
    for (char *word = strtok(line, " "); word != NULL && argc < ARGUMENTS; word = strtok(NULL, " ")) {
        argv[argc++] = word;
        char *to = word;
        for (const char *from = word; *from != 0; ++to) {
            const bool coded = from[0] == '%' && digit(from[1]) >= 0 && digit(from[2]) >= 0;
            *to = coded ? (char)(digit(from[1]) << 4 | digit(from[2])) : *from;
            from += coded ? 3 : 1;
        }
        *to = 0;
    }
    const int status = __real_main(argc, argv);
    fflush(NULL);
    _exit(status);
}

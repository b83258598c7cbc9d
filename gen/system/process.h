/* SPDX-License-Identifier: Apache-2.0 */
/* Starting another program: one that ends when this one does, however that ends. */
#ifndef MSAGEN_PROCESS_H
#define MSAGEN_PROCESS_H

#include <sys/types.h>

/* What a program that reads hostile files may take; 0: no limit. Where one is given, it leaves no core. */
struct msagen_limits {
    unsigned wall_s;      /* seconds by the clock: then SIGALRM */
    unsigned processor_s; /* then SIGXCPU, a second later SIGKILL */
    unsigned long long memory_bytes; /* of addresses: then there is no memory to be had */
    unsigned long long file_bytes;   /* of each file that it writes: then SIGXFSZ */
};

struct msagen_process {
    char *const *argv;    /* the program, found by PATH, and its arguments; ended by NULL */
    char *const *env;
    const char *cwd;      /* or NULL: this one's. Paths of streams are not relative to it */
    const char *paths[3]; /* of standard input, output and error: a file; NULL: this one's stream, or `ends` says */
    int ends[3];          /* descriptors in their places, or -1 */
    struct msagen_limits limits;
    int apart;            /* in a group of its own: what the terminal ends, it goes on until this one ends */
};

/* Starts it and registers it with msagen_cleanup_child. Its number; or -1 with errno where it cannot be started. */
pid_t msagen_process_start(const struct msagen_process *process);

#endif

/* SPDX-License-Identifier: 0BSD */
/* msa_threads.h - the cores of a build for several (--cores N) as POSIX threads: the hooks msa_cores_start and
 * msa_cores_wait. A product with an RTOS or bare metal has its own in the place of msa_threads.c; msa.h says what they
 * must do. */
#ifndef MSA_THREADS_H
#define MSA_THREADS_H

#include "msa.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A team: core 0 is the thread that calls the session's functions, the others wait here for work. The caller's memory;
 * fields are private. */
typedef struct msa_threads {
    uint32_t cores;
    uint32_t spins;              /* looks at `round` before a thread sleeps */
    uint32_t arrived;            /* cores that wait in this round */
    uint32_t round;              /* changes when all have come */
    uint32_t next;               /* number of the thread that starts up */
    msa_session *session;        /* whose work it is; NULL: go home */
    uint32_t in_call;            /* core 0's: its call has not come to the last barrier */
    pthread_mutex_t mutex;
    pthread_cond_t all_here;
    pthread_t thread[MSA_MAX_CORES];
} msa_threads;

/* Start cores - 1 threads, 2 to MSA_MAX_CORES cores; msa_set_team then gives the team to a session whose build has as
 * many. The threads take the caller's floating-point environment, priority and affinity, and block all signals.
 * Sessions may have one team in turn; those that are called at once need one each. Returns 0, or an errno after which
 * nothing is left running. */
int msa_threads_start(msa_threads *team, uint32_t cores);

/* End the threads; no session may be using them. Does nothing for a team that did not start, or has ended. */
void msa_threads_end(msa_threads *team);

#ifdef __cplusplus
}
#endif

#endif

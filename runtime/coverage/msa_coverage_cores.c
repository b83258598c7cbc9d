/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_cores.c - of msa_coverage.c: the other cores of a build for several, threads of one call each, which may
 * have another rounding. */
#define _POSIX_C_SOURCE 200809L
#include "msa_coverage.h"

#if COVER_TEAM
#include <fenv.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_barrier_t barrier;
static msa_session *at_work;

static void *other(void *number)
{
    const uint32_t core = (uint32_t)(uintptr_t)number;
    if (cover.round_before) {
        (void)fesetround(FE_UPWARD);
    }
    msa_work(at_work, core);
    return NULL;
}

int msa_cores_start(void *team, msa_session *s)
{
    static bool begun;
    (void)team;
    if (cover.no_cores) {
        return -1;
    }
    if (!begun && pthread_barrier_init(&barrier, NULL, MSA_MODEL_CORES) != 0) {
        exit(2);
    }
    begun = true;
    at_work = s;
    for (uint32_t core = 1; core < MSA_MODEL_CORES; ++core) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, other, (void *)(uintptr_t)core) != 0 || pthread_detach(thread) != 0) {
            exit(2);
        }
    }
    return 0;
}

void msa_cores_wait(void *team, msa_session *s, uint32_t core)
{
    (void)team;
    (void)s;
    (void)pthread_barrier_wait(&barrier);
    if (core != 0u && cover.round_after) {
        (void)fesetround(FE_UPWARD);
    }
}
#endif

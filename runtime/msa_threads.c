/* SPDX-License-Identifier: 0BSD */
/* msa_threads.c - a team of POSIX threads that meet at one barrier: all work begins and ends there. */
#define _POSIX_C_SOURCE 200809L

#include "msa_threads.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* About the time that waking a thread takes; a team larger than the machine sleeps at once. */
#define SPINS ((uint32_t)4000)

static void pause_core(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield");
#endif
}

static void meet(msa_threads *team)
{
    const uint32_t round = __atomic_load_n(&team->round, __ATOMIC_ACQUIRE);
    const uint32_t here = __atomic_add_fetch(&team->arrived, 1u, __ATOMIC_ACQ_REL);
    if (here == __atomic_load_n(&team->cores, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&team->arrived, 0u, __ATOMIC_RELAXED);
        pthread_mutex_lock(&team->mutex);
        __atomic_store_n(&team->round, round + 1u, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&team->all_here);
        pthread_mutex_unlock(&team->mutex);
        return;
    }
    for (uint32_t i = 0; i < team->spins; ++i) {
        if (__atomic_load_n(&team->round, __ATOMIC_ACQUIRE) != round) {
            return;
        }
        pause_core();
    }
    pthread_mutex_lock(&team->mutex);
    while (__atomic_load_n(&team->round, __ATOMIC_ACQUIRE) == round) {
        pthread_cond_wait(&team->all_here, &team->mutex);
    }
    pthread_mutex_unlock(&team->mutex);
}

void msa_cores_wait(void *cores, msa_session *s, uint32_t core)
{
    msa_threads *const team = (msa_threads *)cores;
    if (core == 0u && s->leaving != 0u) {
        team->in_call = 0;
    }
    meet(team);
}

/* The others wait for the round that this core completes; msa_work brings them back here. From within a hook of a call
 * that has the team, they could not come: another session's call is refused. */
int msa_cores_start(void *cores, msa_session *s)
{
    msa_threads *const team = (msa_threads *)cores;
    if (team == NULL || team->cores != s->cores || team->in_call != 0u) {
        return -1;
    }
    team->in_call = 1;
    team->session = s;
    meet(team);
    return 0;
}

static void *serve(void *argument)
{
    msa_threads *const team = (msa_threads *)argument;
    const uint32_t core = __atomic_add_fetch(&team->next, 1u, __ATOMIC_RELAXED);
    for (;;) {
        meet(team);
        msa_session *const s = team->session;
        if (s == NULL) {
            return NULL;
        }
        msa_work(s, core);
    }
}

/* The first `count` threads go home: alone of the team, they and core 0 are all that the barrier waits for. */
static void dismiss(msa_threads *team, uint32_t count)
{
    team->session = NULL;
    __atomic_store_n(&team->cores, count + 1u, __ATOMIC_RELEASE);
    meet(team);
    for (uint32_t i = 0; i < count; ++i) {
        pthread_join(team->thread[i], NULL);
    }
    pthread_cond_destroy(&team->all_here);
    pthread_mutex_destroy(&team->mutex);
    team->cores = 0;
}

/* Signals are for the program's own threads. */
static int create_threads(msa_threads *team)
{
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const uint32_t count = team->cores - 1u;
    int error = 0;
    for (uint32_t i = 0; i < count && error == 0; ++i) {
        error = pthread_create(&team->thread[i], NULL, serve, team);
        if (error != 0) {
            dismiss(team, i);
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int msa_threads_start(msa_threads *team, uint32_t cores)
{
    if (team == NULL) {
        return EINVAL;
    }
    team->cores = 0;
    if (cores < 2u || cores > MSA_MAX_CORES) {
        return EINVAL;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    team->spins = online >= (long)cores ? SPINS : (uint32_t)0;
    team->arrived = 0;
    team->round = 0;
    team->next = 0;
    team->session = NULL;
    team->in_call = 0;
    int error = pthread_mutex_init(&team->mutex, NULL);
    if (error != 0) {
        return error;
    }
    error = pthread_cond_init(&team->all_here, NULL);
    if (error != 0) {
        pthread_mutex_destroy(&team->mutex);
        return error;
    }
    team->cores = cores;
    return create_threads(team);
}

void msa_threads_end(msa_threads *team)
{
    if (team != NULL && team->cores > 1u) {
        dismiss(team, team->cores - 1u);
    }
}

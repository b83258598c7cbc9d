/* SPDX-License-Identifier: Apache-2.0 */
/* tiles.c - times the ways to cut one matrix product, in turns. bench/tiles.lua writes tiles_shape.h and compiles this
 * with it. Prints a line for each way: its median nanoseconds a call; then that of one fused multiply-add in a
 * chain. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "tiles_shape.h"

/* This thread's own time: what other programs take does not count. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float *numbers(size_t count, float scale)
{
    void *room;
    if (posix_memalign(&room, 64, count * sizeof(float)) != 0)
        exit(1);
    float *const p = room;
    for (size_t i = 0; i < count; ++i)
        p[i] = scale * (float)((i * 7919 + 13) % 1009) - scale * 504.0f;
    return p;
}

static volatile float sink;

static double chain(void)
{
    enum { STEPS = 100000 };
    msa_vec x = msa_splat(1.0f);
    const msa_vec y = msa_splat(sink + 0.5f), z = msa_splat(sink + 0.25f);
    const double start = now();
    for (int i = 0; i < STEPS; ++i)
        x = msa_vfma(x, y, z);
    const double elapsed = now() - start;
    float out[16];
    msa_store(out, x);
    sink = out[0] * 0.0f;
    return elapsed / STEPS;
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 9;
    float *const a = numbers(A_FLOATS, 1e-3f), *const b = numbers(B_FLOATS, 1e-3f),
        *const bias = numbers(C_FLOATS, 1e-3f), *const c = numbers(C_FLOATS, 0.0f);
    static double takes[WAYS + 1][100];
    const int calls = CALLS;
    for (int round = -1; round < rounds && round < 100; ++round) { /* the first one warms up */
        for (int turn = 0; turn <= WAYS; ++turn) {
            const int way = (turn + round + 1) % (WAYS + 1); /* nobody is always first */
            double elapsed;
            if (way == WAYS) {
                elapsed = chain();
            } else {
                call(way, a, b, bias, c);
                const double start = now();
                for (int i = 0; i < calls; ++i)
                    call(way, a, b, bias, c);
                elapsed = (now() - start) / calls;
            }
            if (round >= 0)
                takes[way][round] = elapsed;
        }
    }
    for (int way = 0; way <= WAYS; ++way) {
        qsort(takes[way], (size_t)rounds, sizeof takes[way][0], ascending);
        printf("%.4f\n", takes[way][rounds / 2]);
    }
    return 0;
}

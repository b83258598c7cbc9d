/* SPDX-License-Identifier: Apache-2.0 */
/* sgemm.c - the yardsticks: OpenBLAS's float32 matrix product, n^3, or with -DYARDSTICK_ONEDNN oneDNN's. Needs
 * libopenblas-dev or libdnnl-dev, which nothing but bench/ does.
 *
 * sgemm [N [REPETITIONS [THREADS]]]   prints `core NAME`, `library VERSION`, `macs N`; `ms X` and `cpu_ms X` a
 * repetition: by the clock, and processor time. oneDNN's threads are OpenMP's: OMP_NUM_THREADS. */
#define _POSIX_C_SOURCE 200809L
#ifdef YARDSTICK_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#else
#include <cblas.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_REPETITIONS = 1000, MOST_THREADS = 64 };

static double ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

#ifdef YARDSTICK_ONEDNN

static void begin(int threads)
{
    const dnnl_version_t *const v = dnnl_version();
    (void)threads;
    printf("core isa 0x%x\nlibrary oneDNN %d.%d.%d\n", (unsigned)dnnl_get_effective_cpu_isa(), v->major, v->minor,
        v->patch);
}

/* Both are row by row. @return 0, or -1 */
static int product(int n, const float *a, const float *b, float *c)
{
    return dnnl_sgemm('N', 'N', n, n, n, 1.0f, a, n, b, n, 0.0f, c, n) == dnnl_success ? 0 : -1;
}

#else

static void begin(int threads)
{
    openblas_set_num_threads(threads);
    printf("core %s\nlibrary %s\n", openblas_get_corename(), openblas_get_config());
}

static int product(int n, const float *a, const float *b, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1.0f, a, n, b, n, 0.0f, c, n);
    return 0;
}

#endif

int main(int argc, char **argv)
{
    const int n = argc > 1 ? atoi(argv[1]) : 2048;
    const int repetitions = argc > 2 ? atoi(argv[2]) : 5;
    const int threads = argc > 3 ? atoi(argv[3]) : 1;
    if (n < 1 || n > 16384 || repetitions < 1 || repetitions > MOST_REPETITIONS || threads < 1
        || threads > MOST_THREADS) {
        fputs("usage: sgemm [N [REPETITIONS [THREADS]]]\n", stderr);
        return 2;
    }
    const size_t count = (size_t)n * (size_t)n;
    float *const a = malloc(count * sizeof *a), *const b = malloc(count * sizeof *b),
        *const c = malloc(count * sizeof *c);
    if (!a || !b || !c) {
        fputs("sgemm: out of memory\n", stderr);
        return 1;
    }
    unsigned state = 1;
    for (size_t i = 0; i < count; ++i) {
        state = state * 1664525u + 1013904223u;
        a[i] = (float)(state >> 8) * (2.0f / 16777216.0f) - 1.0f;
        b[i] = a[i] * 0.5f;
        c[i] = 0.0f;
    }
    begin(threads);
    printf("macs %.0f\n", (double)n * (double)n * (double)n);
    for (int i = -1; i < repetitions; ++i) { /* the first one warms up */
        const double start = ms(CLOCK_MONOTONIC), busy = ms(CLOCK_PROCESS_CPUTIME_ID);
        if (product(n, a, b, c) != 0) {
            fputs("sgemm: the library refuses\n", stderr);
            return 1;
        }
        if (i >= 0)
            printf("ms %.3f\ncpu_ms %.3f\n", ms(CLOCK_MONOTONIC) - start, ms(CLOCK_PROCESS_CPUTIME_ID) - busy);
    }
    /* One element, computed again: a rate of wrong results would be none. */
    double expected = 0;
    for (size_t k = 0; k < (size_t)n; ++k)
        expected += (double)a[k] * (double)b[k * (size_t)n];
    if (!(c[0] - expected < 1e-2 && expected - c[0] < 1e-2)) {
        fprintf(stderr, "sgemm: expected %g, found %g\n", expected, (double)c[0]);
        return 1;
    }
    free(a);
    free(b);
    free(c);
    return 0;
}

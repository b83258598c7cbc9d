/* SPDX-License-Identifier: 0BSD */
/* msa_run_profile.c - the test bench's times of every layer, and what the core can do at most. */
#include "msa_run.h"

#include <string.h>
#include <time.h>

/* Bytes that are swept to measure how fast memory is read: more than caches hold. */
#define SWEEP_MOST ((size_t)256 << 20)
#define SWEEP_LEAST ((size_t)(BARE ? 1 : 128) << 20)
#define SWEEPS 3

/* The times of a phase by the profile's clock: of each repetition, and of its layers [repetitions][layers]. */
struct watch {
    msa_phase phase;
    uint32_t layers;
    double *ms, *whole_ms, *wall_ms;
    double *row;  /* of ms: the repetition under way; NULL: none is */
    double since; /* the layer's first moment */
    bool lost;    /* a layer more than `layers`, or of the other phase */
};

static const char *const phase_names[] = {"encode", "decode"};
static struct watch *watched;
static enum { CPU, WALL, CYCLES } by;
static uint32_t khz; /* of the cycles */
static double fma_gmacs, read_gbytes; /* the best so far */

#if ON_POSIX && defined(CLOCK_THREAD_CPUTIME_ID)
static bool has_cpu_clock(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0;
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
#else
static bool has_cpu_clock(void)
{
    return false;
}

static double cpu_ms(void)
{
    return 0.0;
}
#endif

/* Without an operating system: whether somebody defined msa_cycles, and it counts. */
#if BARE
static bool has_cycles(void)
{
    const uint64_t start = msa_cycles();
    for (int i = 0; i < 1000; ++i) {
        if (msa_cycles() > start) {
            return true;
        }
    }
    return false;
}

static double cycles(void)
{
    return (double)msa_cycles();
}
#else
static bool has_cycles(void)
{
    return false;
}

static double cycles(void)
{
    return 0.0;
}
#endif

double msa_run_clock_ms(void)
{
    return by == CPU ? cpu_ms() : by == WALL ? msa_run_now_ms() : cycles() / (double)khz;
}

void msa_run_layer_ends(msa_phase phase, uint32_t layer)
{
    if (watched == NULL) {
        return;
    }
    if (phase == watched->phase && layer < watched->layers) {
        /* a volume's decoder comes back to it in each slice */
        watched->row[layer] += msa_run_clock_ms() - watched->since;
    } else {
        watched->lost = true;
    }
}

void msa_run_layer_begins(void)
{
    if (watched != NULL) {
        watched->since = msa_run_clock_ms();
    }
}

static void try_fma(void)
{
    const double rate = msa_run_fma_gmacs();
    fma_gmacs = rate > fma_gmacs ? rate : fma_gmacs;
}

static void try_read(const void *area, size_t bytes)
{
    for (int i = 0; i < SWEEPS; ++i) {
        const double rate = msa_run_read_gbytes(area, bytes);
        read_gbytes = rate > read_gbytes ? rate : read_gbytes;
    }
}

static msa_status watch_calls(struct watch *watch, bool decode, uint32_t count)
{
    msa_status status = MSA_OK;
    for (uint32_t i = 0; i < count && status == MSA_OK; ++i) {
        watch->row = watch->ms + (size_t)i * watch->layers;
        watched = watch;
        const double wall = msa_run_now_ms(), start = msa_run_clock_ms();
        watch->since = start;
        status = msa_run_call(decode);
        watch->whole_ms[i] = msa_run_clock_ms() - start;
        watch->wall_ms[i] = msa_run_now_ms() - wall;
        watched = NULL;
    }
    return status;
}

/* What is swept: the weights, or where they are small or elsewhere, memory of our own, written so that it is there. */
static const void *sweep_area(size_t *bytes)
{
    *bytes = msa_run_model.weights_bytes < SWEEP_MOST ? (size_t)msa_run_model.weights_bytes : SWEEP_MOST;
    if (msa_run.session.weights != NULL && *bytes >= SWEEP_LEAST) {
        return msa_run.session.weights;
    }
    *bytes = SWEEP_LEAST;
    void *const area = msa_run_allocate(*bytes);
    if (area != NULL) {
        memset(area, 0, *bytes);
    }
    return area;
}

/* Median and least of a layer's times and of the whole, in a decode those of one slice. */
static void report_watch(const struct watch *watch, uint32_t count, double slices, double *column)
{
    for (uint32_t layer = 0; layer < watch->layers; ++layer) {
        for (uint32_t i = 0; i < count; ++i) {
            column[i] = watch->ms[(size_t)i * watch->layers + layer] / slices;
        }
        const double middle = msa_run_median(column, count);
        fprintf(msa_run.response, "layer %s %lu %.6f %.6f\n", phase_names[watch->phase], (unsigned long)layer, middle,
            column[0]);
    }
    const double middle = msa_run_median(watch->whole_ms, count) / slices;
    fprintf(msa_run.response, "whole %s %.6f %.6f\n", phase_names[watch->phase], middle, watch->whole_ms[0] / slices);
}

static int watch_init(struct watch *watch, msa_phase phase, uint32_t layers, uint32_t count)
{
    const size_t times = (size_t)count * layers;
    memset(watch, 0, sizeof *watch);
    watch->phase = phase;
    watch->layers = layers;
    watch->ms = msa_run_allocate(sizeof(double) * times);
    watch->whole_ms = msa_run_allocate(sizeof(double) * count);
    watch->wall_ms = msa_run_allocate(sizeof(double) * count);
    if (watch->ms == NULL || watch->whole_ms == NULL || watch->wall_ms == NULL) {
        return -1;
    }
    for (size_t i = 0; i < times; ++i) {
        watch->ms[i] = 0.0;
    }
    return 0;
}

int msa_run_profile(const unsigned char *p, size_t bytes)
{
    uint32_t head[5];
    if (bytes != sizeof head) {
        return msa_run_fail("request: short profile");
    }
    memcpy(head, p, sizeof head);
    const uint32_t count = head[0];
    if (count == 0 || count > 1000000 || head[1] > 10000 || head[2] > 10000 || msa_run_need_image() != 0) {
        return msa_run_fail("request: a profile of %lu", (unsigned long)count);
    }
    khz = head[4];
    by = khz != 0 && has_cycles() ? CYCLES : head[3] == 0 && has_cpu_clock() ? CPU : WALL;
    struct watch encode, decode;
    size_t area_bytes;
    double *const column = msa_run_allocate(sizeof(double) * count);
    const void *const area = sweep_area(&area_bytes);
    if (column == NULL || area == NULL || watch_init(&encode, MSA_PHASE_ENCODE, head[1], count) != 0
        || watch_init(&decode, MSA_PHASE_DECODE, head[2], count) != 0) {
        return -1;
    }
    try_read(area, area_bytes);
    try_fma();
    msa_status status = watch_calls(&encode, false, count);
    if (status == MSA_OK) {
        try_fma();
        status = watch_calls(&decode, true, count);
    }
    try_fma();
    try_read(area, area_bytes);
    if (encode.lost || decode.lost) {
        return msa_run_fail("profile: expected %lu and %lu layers, as the manifest has, found more",
            (unsigned long)head[1], (unsigned long)head[2]);
    }
    if (msa_run_report_times(status, encode.wall_ms, decode.wall_ms, count) != 0) {
        return -1;
    }
    report_watch(&encode, count, 1.0, column);
    report_watch(&decode, count, D, column);
    fprintf(msa_run.response, "clock %s\nfma_gmacs %.4f\nread_gbytes %.4f\n",
        by == CPU ? "cpu" : by == WALL ? "wall" : "cycles", fma_gmacs, read_gbytes);
    return 0;
}

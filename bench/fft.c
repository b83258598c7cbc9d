/* SPDX-License-Identifier: Apache-2.0 */
/* Transforms by generated code and by FFTW (single precision, FFTW_MEASURE, a plan of one line executed for each), in
 * turns: fft ROUNDS WEIGHTS. Prints the least seconds of all LINES lines: transform alone in lanes, with lines to lanes
 * and back, FFTW; and the relative L2 error of both against FFTW in double precision.
 * -DKIND: 0 complex forward, 1 complex inverse, 2 real forward, 3 real inverse. */
#define _POSIX_C_SOURCE 200112L
#include "msa_fft.h"

#include <fftw3.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void msa_lanes(float *arena, const float *w, const float *x, float *y);

enum { N = MSA_FFT_POINTS, LINES = 128, IN = MSA_FFT_IN, OUT = MSA_FFT_OUT, LANES = MSA_FFT_LANES };

static void *room(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes) != 0) {
        exit(EXIT_FAILURE);
    }
    memset(p, 0, bytes);
    return p;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A plan of one line; of the inverse of real points FFTW overwrites the line unless told. */
static fftwf_plan plan_of(float *in, float *out)
{
#if KIND < 2
    return fftwf_plan_dft_1d(N, (fftwf_complex *)in, (fftwf_complex *)out, KIND == 0 ? FFTW_FORWARD : FFTW_BACKWARD,
        FFTW_MEASURE);
#elif KIND == 2
    return fftwf_plan_dft_r2c_1d(N, in, (fftwf_complex *)out, FFTW_MEASURE);
#else
    return fftwf_plan_dft_c2r_1d(N, (fftwf_complex *)in, out, FFTW_MEASURE | FFTW_PRESERVE_INPUT);
#endif
}

static void execute(fftwf_plan plan, const float *line, float *out)
{
    float *const in = (float *)(uintptr_t)line;
#if KIND < 2
    fftwf_execute_dft(plan, (fftwf_complex *)in, (fftwf_complex *)out);
#elif KIND == 2
    fftwf_execute_dft_r2c(plan, in, (fftwf_complex *)out);
#else
    fftwf_execute_dft_c2r(plan, (fftwf_complex *)in, out);
#endif
}

static void truth_of(const float *line, double *out)
{
    static double in[IN];
    for (size_t i = 0; i < IN; ++i) {
        in[i] = line[i];
    }
#if KIND < 2
    fftw_plan plan = fftw_plan_dft_1d(N, (fftw_complex *)in, (fftw_complex *)out,
        KIND == 0 ? FFTW_FORWARD : FFTW_BACKWARD, FFTW_ESTIMATE);
#elif KIND == 2
    fftw_plan plan = fftw_plan_dft_r2c_1d(N, in, (fftw_complex *)out, FFTW_ESTIMATE);
#else
    fftw_plan plan = fftw_plan_dft_c2r_1d(N, (fftw_complex *)in, out, FFTW_ESTIMATE);
#endif
    fftw_execute(plan);
    fftw_destroy_plan(plan);
}

static double error_of(const float *got, const double *truth)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < OUT; ++i) {
        off += (got[i] - truth[i]) * (got[i] - truth[i]);
        all += truth[i] * truth[i];
    }
    return sqrt(off / all);
}

static double least(double a, double b) { return a < b ? a : b; }

int main(int argc, char **argv)
{
    FILE *const file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    unsigned char *const weights = (unsigned char *)room(MSA_FFT_WEIGHTS_BYTES);
    if (file == NULL || fread(weights, 1, MSA_FFT_WEIGHTS_BYTES, file) != MSA_FFT_WEIGHTS_BYTES) {
        return EXIT_FAILURE;
    }
    /* A line's place is a multiple of 64 bytes for FFTW, whose aligned plan is the faster one. */
    enum { STEP = (IN + 15) / 16 * 16 };
    float *const lines = (float *)room(LINES * IN * sizeof(float)), *const apart = (float *)room(LINES * STEP * 4u);
    float *const out = (float *)room(LINES * OUT * sizeof(float)), *const one = (float *)room((OUT + 16) * 4u);
    float *const lanes = (float *)room((size_t)LINES * IN * sizeof(float) + LANES * 4u);
    float *const results = (float *)room((size_t)OUT * LANES * sizeof(float));
    float *const arena = (float *)room(MSA_FFT_ARENA_BYTES);
    uint32_t state = 1;
    const fftwf_plan plan = plan_of(apart, one);
    for (size_t i = 0; i < (size_t)LINES * IN; ++i) {
        state = state * 1664525u + 1013904223u;
        lines[i] = (float)(int32_t)state * 0x1p-31f;
        apart[i / IN * STEP + i % IN] = lines[i];
        lanes[i / IN / LANES * (IN * LANES) + i % IN * LANES + i / IN % LANES] = lines[i];
    }
    double alone = 1e9, whole = 1e9, fftw = 1e9;
    const float *const w = (const float *)(const void *)weights + TABLES_AT;
    for (int round = atoi(argv[1]); round > 0; --round) {
        double before = now();
        for (size_t l = 0; l < LINES; l += LANES) {
            msa_lanes(arena, w, lanes + l * IN, results);
        }
        alone = least(alone, now() - before);
        before = now();
        for (size_t l = 0; l < LINES; ++l) {
            execute(plan, apart + l * STEP, one);
        }
        fftw = least(fftw, now() - before);
        before = now();
        if (msa_fft_lines(weights, arena, lines, out, LINES) != MSA_OK) {
            return EXIT_FAILURE;
        }
        whole = least(whole, now() - before);
    }
    double *const truth = (double *)room(OUT * sizeof(double));
    double ours = 0, theirs = 0;
    for (size_t l = 0; l < 8; ++l) {
        truth_of(lines + l * IN, truth);
        execute(plan, apart + l * STEP, one);
        ours = fmax(ours, error_of(out + l * OUT, truth));
        theirs = fmax(theirs, error_of(one, truth));
    }
    printf("%.9g %.9g %.9g %.3g %.3g\n", alone / LINES, whole / LINES, fftw / LINES, ours, theirs);
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* From int16 lines to grey levels by a generated front end and by FFTW (single precision, FFTW_MEASURE, plans of one
 * line) with plain C, in turns: front ROUNDS WEIGHTS. Prints the least seconds of a frame: generated; FFTW and C whose
 * logarithm is the C library's; the same with the generated code's logarithm; and the largest difference in levels.
 * -DDECIMATE: every so many-th point; FFTW's inverse is then of as many fewer points, as the generated one. */
#define _POSIX_C_SOURCE 200112L
#include "msa_model.h"
#include "msa_arith.h"

#include <fftw3.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINES = MSA_FRONT_LINES, N = MSA_FRONT_LINE_BYTES / 2, M = N / DECIMATE };

MSA_ALIGNED static unsigned char arena[MSA_MODEL_ARENA_BYTES], weights[MSA_MODEL_WEIGHTS_BYTES];
static int16_t samples[LINES][N];
static float grey[LINES][M], ours[LINES][M];
static float *in, *spectrum, *one_sided, *signal;
static fftwf_plan forward, inverse;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float log2_of(float x)
{
    return msa_exponent(x) + msa_log2_near(msa_mantissa(x));
}

/* A line's levels: 60 dB below 1000. */
static void line_of(const int16_t *from, float *to, int own)
{
    for (int i = 0; i < N; ++i) in[i] = (float)from[i];
    fftwf_execute(forward);
    memset(one_sided, 0, 2 * M * sizeof *one_sided);
    for (int from = 0; from <= N / 2; from += M) {
        const int count = N / 2 + 1 - from < M ? N / 2 + 1 - from : M;
        for (int i = 0; i < 2 * count; ++i) one_sided[i] += 2.0f / N * spectrum[2 * from + i];
    }
    one_sided[0] -= spectrum[0] / N;
    if (N % 2 == 0) one_sided[2 * (N / 2 % M)] -= spectrum[N] / N;
    fftwf_execute(inverse);
    for (int i = 0; i < M; ++i) {
        const float power = signal[2 * i] * signal[2 * i] + signal[2 * i + 1] * signal[2 * i + 1] + 1e-30f;
        const float db = own ? 3.01029996f * log2_of(power) : 10.0f * log10f(power);
        const float level = 255.0f * (1.0f + (db - 60.0f) / 60.0f);
        to[i] = level < 0.0f ? 0.0f : level > 255.0f ? 255.0f : level;
    }
}

static double frame_of_fftw(int own)
{
    const double before = now();
    for (int l = 0; l < LINES; ++l) line_of(samples[l], grey[l], own);
    return now() - before;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

int main(int argc, char **argv)
{
    static msa_session s;
    FILE *const file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (file == NULL || fread(weights, 1, sizeof weights, file) != sizeof weights
        || msa_open(&s, arena, sizeof arena, weights, sizeof weights) != MSA_OK)
        return EXIT_FAILURE;
    in = fftwf_alloc_real(N);
    spectrum = fftwf_alloc_real(N + 2);
    one_sided = fftwf_alloc_real(2 * M);
    signal = fftwf_alloc_real(2 * M);
    forward = fftwf_plan_dft_r2c_1d(N, in, (fftwf_complex *)spectrum, FFTW_MEASURE);
    inverse = fftwf_plan_dft_1d(M, (fftwf_complex *)one_sided, (fftwf_complex *)signal, FFTW_BACKWARD, FFTW_MEASURE);
    uint32_t state = 1;
    for (int i = 0; i < LINES * N; ++i) {
        state = state * 1664525u + 1013904223u;
        samples[i / N][i % N] = (int16_t)((int32_t)state >> 21);
    }
    const msa_samples frame = {samples, sizeof samples[0]};
    double generated = 1e9, library = 1e9, own = 1e9;
    for (int round = 0; round < atoi(argv[1]); ++round) {
        const double before = now();
        if (msa_frame(&s, &frame) != MSA_OK)
            return EXIT_FAILURE;
        generated = least(generated, now() - before);
        library = least(library, frame_of_fftw(0));
        own = least(own, frame_of_fftw(1));
    }
    float most = 0.0f;
    if (msa_grey(&s, ours[0]) != MSA_OK)
        return EXIT_FAILURE;
    for (int i = 0; i < LINES * M; ++i) most = fmaxf(most, fabsf(ours[i / M][i % M] - grey[i / M][i % M]));
    printf("%.9f %.9f %.9f %.5f\n", generated, library, own, (double)most);
    return EXIT_SUCCESS;
}

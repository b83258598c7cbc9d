/* SPDX-License-Identifier: 0BSD */
/* msa_fft_run.c - test bench of a transform, no part of a product: msa_fft_run REQUEST RESPONSE WEIGHTS. Without an
 * operating system the weights are those linked, and no file is read.
 * REQUEST, little-endian: u32 lines, u32 repetitions; [lines, MSA_FFT_IN] floats.
 * RESPONSE: u32 status, u32 0; [lines, MSA_FFT_OUT] floats; for each repetition the seconds of all lines (double). */
#if defined(__unix__)
#define _POSIX_C_SOURCE 200112L
#endif
#include "msa_fft.h"
#include "msa_run_small.h"

static int answer(const void *weights, void *arena, const uint32_t head[2])
{
    const size_t in_floats = (size_t)head[0] * MSA_FFT_IN, out_floats = (size_t)head[0] * MSA_FFT_OUT;
    float *const in = (float *)room(in_floats * sizeof(float)), *const out = (float *)room(out_floats * sizeof(float));
    if (in == NULL || out == NULL) {
        return fail("no memory for the lines");
    }
    if (fread(in, sizeof(float), in_floats, request) != in_floats) {
        return fail("the request ends early");
    }
    const uint32_t said[2] = {(uint32_t)msa_fft_lines(weights, arena, in, out, head[0]), 0};
    bool well = put(said, sizeof said) && put(out, said[0] == 0 ? out_floats * sizeof(float) : 0);
    for (uint32_t i = 0; said[0] == 0 && well && i < head[1]; ++i) {
        const double before = seconds();
        (void)msa_fft_lines(weights, arena, in, out, head[0]);
        const double taken = seconds() - before;
        well = put(&taken, sizeof taken);
    }
    return well ? EXIT_SUCCESS : fail("the answer cannot be written");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return fail("usage: msa_fft_run REQUEST RESPONSE WEIGHTS");
    }
    const void *const weights = weights_of(argv[3], MSA_FFT_WEIGHTS_BYTES);
    void *const arena = room(MSA_FFT_ARENA_BYTES);
    uint32_t head[2];
    request = fopen(argv[1], "rb");
    response = fopen(argv[2], "wb");
    if (weights == NULL || arena == NULL || request == NULL || response == NULL) {
        return fail(weights == NULL ? "the weights cannot be read" : "no files, or no memory for the arena");
    }
    if (fread(head, sizeof head, 1, request) != 1) {
        return fail("the request ends early");
    }
    const int status = answer(weights, arena, head);
    free_rooms();
    return fclose(response) == 0 ? status : fail("the answer cannot be written");
}

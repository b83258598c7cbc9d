/* SPDX-License-Identifier: 0BSD */
/* msa_fft.c - $(what) of $(points) points: passes $(passes).
 * A line takes $(counts.adds) additions and $(counts.products) products, $(counts.steps) instructions where they fuse.
 * $(made_by) */
#include "msa_fft.h"
#include "msa_kernels.h"
#include "msa_runtime.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

/* The transform of lines that lie in lanes: number i of line l is x[i * MSA_FFT_LANES + l], of its result
 * y[i * MSA_FFT_LANES + l]. arena: scratch; w: the weights' tables. The two have nothing in common. */
$(step_prototype);

static const unsigned char fft_hash[32] = {
$(hash_lines)
};
static const char fft_arithmetic[32] = MSA_FFT_ARITHMETIC;

static msa_status check_environment(void)
{
    const msa_status status = msa_check_environment();
    if (status != MSA_OK) {
        return status;
    }
    /* Volatile: nothing of this is worked out before. */
    volatile float one = 1.0f + 0x1p-12f, many = 16777216.0f, zero = -0.0f;
    return msa_kernels_as_written(one, many, zero) ? MSA_OK : MSA_E_FLAGS;
}

static bool has_room(size_t lines)
{
    return lines <= ((size_t)-1 >> 1) / sizeof(float) / (MSA_FFT_IN > MSA_FFT_OUT ? MSA_FFT_IN : MSA_FFT_OUT);
}

static msa_status check(const void *weights, const void *arena, const float *in, const float *out, size_t lines)
{
    if (weights == NULL || arena == NULL || in == NULL || out == NULL || !has_room(lines)) {
        return MSA_E_ARGUMENT;
    }
    if ((uintptr_t)weights % MSA_ALIGNMENT != 0 || (uintptr_t)arena % MSA_ALIGNMENT != 0) {
        return MSA_E_ALIGNMENT;
    }
    const size_t from = lines * MSA_FFT_IN * sizeof(float), to = lines * MSA_FFT_OUT * sizeof(float);
    if (!msa_apart(in, from, out, to) || !msa_apart(in, from, arena, (size_t)MSA_FFT_ARENA_BYTES)
        || !msa_apart(out, to, arena, (size_t)MSA_FFT_ARENA_BYTES)
        || !msa_apart(out, to, weights, (size_t)MSA_FFT_WEIGHTS_BYTES)
        || !msa_apart(arena, (size_t)MSA_FFT_ARENA_BYTES, weights, (size_t)MSA_FFT_WEIGHTS_BYTES)) {
        return MSA_E_OVERLAP;
    }
    const msa_status status = check_environment();
    return status != MSA_OK ? status : msa_check_weights((const unsigned char *)weights, (size_t)MSA_FFT_WEIGHTS_BYTES,
        (size_t)MSA_FFT_WEIGHTS_BYTES, fft_arithmetic, fft_hash);
}

$(step_text)

/* At most as many lines as there are lanes. */
static void some_lines(const float *w, float *arena, const float *in, float *out, size_t lines)
{
    float *const x = arena + $(x_at), *const y = arena + $(y_at);
    $(calls.lanes_in);
    msa_lanes(arena, w, x, y);
    $(calls.lanes_out);
}

msa_status msa_fft_lines(const void *weights, void *arena, const float *in, float *out, size_t lines)
{
    const msa_status status = check(weights, arena, in, out, lines);
    for (size_t l = 0; status == MSA_OK && l < lines; l += MSA_FFT_LANES) {
        const size_t left = lines - l;
        some_lines((const float *)weights + $(weights_at), (float *)arena, in + l * MSA_FFT_IN,
            out + l * MSA_FFT_OUT, left < MSA_FFT_LANES ? left : MSA_FFT_LANES);
    }
    return status;
}

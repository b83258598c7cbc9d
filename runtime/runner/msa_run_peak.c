/* SPDX-License-Identifier: 0BSD */
/* msa_run_peak.c - what this core can do at most with the board's instructions: fused multiply-adds, and reading
 * memory. Whoever shares the machine takes the best of many tries. */
#include "msa_run.h"
#include "msa_simd.h"

#define FLOATS (sizeof(msa_vec) / sizeof(float))

/* Short tries, so that some fall between the turns of other programs. */
#define TRIES 20
#define TRY_MS 0.2
#define PIECE_BYTES ((size_t)(BARE ? 1 : 16) << 20)

static volatile float seen; /* results go here, or a compiler would leave the work out */

static void see(msa_vec v)
{
    float lanes[FLOATS];
    msa_store(lanes, v);
    seen = lanes[0];
}

/* Twelve chains that do not wait for each other: enough for two units of six cycles, and for 16 registers. */
static void chains(size_t steps)
{
    seen = 0.5f;
    const msa_vec half = msa_splat(seen);
    const msa_vec one = msa_vadd(half, half);
    /* Each reads it anew: chains that a compiler knew to be equal would be one. */
    msa_vec a = msa_splat(seen), b = msa_splat(seen), c = msa_splat(seen), d = msa_splat(seen), e = msa_splat(seen),
        f = msa_splat(seen);
    msa_vec g = msa_splat(seen), h = msa_splat(seen), i = msa_splat(seen), j = msa_splat(seen), k = msa_splat(seen),
        l = msa_splat(seen);
    for (size_t step = 0; step < steps; ++step) {
        a = msa_vfma(a, half, one);
        b = msa_vfma(b, half, one);
        c = msa_vfma(c, half, one);
        d = msa_vfma(d, half, one);
        e = msa_vfma(e, half, one);
        f = msa_vfma(f, half, one);
        g = msa_vfma(g, half, one);
        h = msa_vfma(h, half, one);
        i = msa_vfma(i, half, one);
        j = msa_vfma(j, half, one);
        k = msa_vfma(k, half, one);
        l = msa_vfma(l, half, one);
    }
    see(msa_vadd(msa_vadd(msa_vadd(a, b), msa_vadd(c, d)),
        msa_vadd(msa_vadd(msa_vadd(e, f), msa_vadd(g, h)), msa_vadd(msa_vadd(i, j), msa_vadd(k, l)))));
}

double msa_run_fma_gmacs(void)
{
    size_t steps = 64;
    double best = 0.0;
    for (int tries = 0; tries < TRIES;) {
        const double start = msa_run_clock_ms();
        chains(steps);
        const double ms = msa_run_clock_ms() - start;
        if (ms < TRY_MS) {
            steps *= ms * 8.0 < TRY_MS ? 8u : 2u;
            continue;
        }
        const double rate = (double)steps * 12.0 * (double)FLOATS / ms * 1e-6;
        best = rate > best ? rate : best;
        ++tries;
    }
    return best;
}

/* In the order of addresses: some prefetchers lose half of the rate where one goes back and forth. */
static msa_vec sweep(const float *from, size_t floats)
{
    msa_vec a = msa_splat(0.0f), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    for (size_t n = 0; n < floats; n += 8u * FLOATS) {
        const float *const p = from + n;
        a = msa_vadd(a, msa_load(p));
        b = msa_vadd(b, msa_load(p + FLOATS));
        c = msa_vadd(c, msa_load(p + 2u * FLOATS));
        d = msa_vadd(d, msa_load(p + 3u * FLOATS));
        e = msa_vadd(e, msa_load(p + 4u * FLOATS));
        f = msa_vadd(f, msa_load(p + 5u * FLOATS));
        g = msa_vadd(g, msa_load(p + 6u * FLOATS));
        h = msa_vadd(h, msa_load(p + 7u * FLOATS));
    }
    return msa_vadd(msa_vadd(msa_vadd(a, b), msa_vadd(c, d)), msa_vadd(msa_vadd(e, f), msa_vadd(g, h)));
}

double msa_run_read_gbytes(const void *memory, size_t bytes)
{
    const float *const from = memory;
    double best = 0.0;
    for (size_t at = 0; at + PIECE_BYTES <= bytes; at += PIECE_BYTES) {
        const double start = msa_run_clock_ms();
        see(sweep(from + at / sizeof(float), PIECE_BYTES / sizeof(float)));
        const double ms = msa_run_clock_ms() - start;
        const double rate = ms > 0.0 ? (double)PIECE_BYTES / ms * 1e-6 : 0.0;
        best = rate > best ? rate : best;
    }
    return best;
}

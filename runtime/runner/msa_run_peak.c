/* SPDX-License-Identifier: 0BSD */
/* msa_run_peak.c - what this core can do at most with the board's instructions: fused multiply-adds, and reading
 * memory. Whoever shares the machine takes the best of many tries. */
#include "msa_run.h"
#include "msa_simd.h"

#define FLOATS (sizeof(msa_vec) / sizeof(float))

/* Short tries, so that some fall between the turns of other programs, tell which chains are the faster. */
#define TRIES 20
#define TRY_MS 0.2

/* What counts is sustained: a core that gets hot, or whose wide units take power, soon runs at a slower clock, and so
 * do the layers. Without an operating system the clock stays. */
#define LONG_TRIES (BARE ? TRIES : 10)
#define LONG_TRY_MS (BARE ? TRY_MS : 50.0)
#define SWEEP_BYTES ((size_t)(BARE ? 1 : 16) << 20)

static volatile float seen; /* results go here, or a compiler would leave the work out */

static void see(msa_vec v)
{
    float lanes[FLOATS];
    msa_store(lanes, v);
    seen = lanes[0];
}

/* Chains that do not wait for each other. Each reads its start anew, as chains that a compiler knew to be equal would
 * be one; and they end side by side in memory, so that a compiler makes vectors of single floats, as in kernels. */
#define TWELVE(each) \
    each(0) each(1) each(2) each(3) each(4) each(5) each(6) each(7) each(8) each(9) each(10) each(11)
#define TWELVE_MORE(each) \
    each(12) each(13) each(14) each(15) each(16) each(17) each(18) each(19) each(20) each(21) each(22) each(23)
#define START(n) msa_vec c##n = msa_splat(seen);
#define STEP(n) c##n = msa_vfma(c##n, half, one);
#define END(n) msa_store(lanes + n * FLOATS, c##n);

/* Twelve are enough for two units of six cycles, and fit into 16 registers. */
static void twelve(size_t steps)
{
    seen = 0.5f;
    const msa_vec half = msa_splat(seen);
    const msa_vec one = msa_vadd(half, half);
    float lanes[12u * FLOATS];
    TWELVE(START)
    for (size_t step = 0; step < steps; ++step) {
        TWELVE(STEP)
    }
    TWELVE(END)
    for (size_t n = 0; n < sizeof lanes / sizeof(float); ++n) {
        seen = lanes[n];
    }
}

/* Single floats that a compiler puts into vectors of four need more chains. */
static void twenty_four(size_t steps)
{
    seen = 0.5f;
    const msa_vec half = msa_splat(seen);
    const msa_vec one = msa_vadd(half, half);
    float lanes[24u * FLOATS];
    TWELVE(START)
    TWELVE_MORE(START)
    for (size_t step = 0; step < steps; ++step) {
        TWELVE(STEP)
        TWELVE_MORE(STEP)
    }
    TWELVE(END)
    TWELVE_MORE(END)
    for (size_t n = 0; n < sizeof lanes / sizeof(float); ++n) {
        seen = lanes[n];
    }
}

static double best_rate(void (*chains)(size_t steps), double count, int most, double least_ms)
{
    size_t steps = 64;
    double best = 0.0;
    for (int tries = 0; tries < most;) {
        const double start = msa_run_clock_ms();
        chains(steps);
        const double ms = msa_run_clock_ms() - start;
        if (ms < least_ms) {
            steps *= ms * 8.0 < least_ms ? 8u : 2u;
            continue;
        }
        const double rate = (double)steps * count * (double)FLOATS / ms * 1e-6;
        best = rate > best ? rate : best;
        ++tries;
    }
    return best;
}

double msa_run_fma_gmacs(void)
{
    const double few = best_rate(twelve, 12.0, TRIES, TRY_MS), many = best_rate(twenty_four, 24.0, TRIES, TRY_MS);
    return few > many ? best_rate(twelve, 12.0, LONG_TRIES, LONG_TRY_MS)
                      : best_rate(twenty_four, 24.0, LONG_TRIES, LONG_TRY_MS);
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
    for (size_t at = 0; at + SWEEP_BYTES <= bytes; at += SWEEP_BYTES) {
        const double start = msa_run_clock_ms();
        see(sweep(from + at / sizeof(float), SWEEP_BYTES / sizeof(float)));
        const double ms = msa_run_clock_ms() - start;
        const double rate = ms > 0.0 ? (double)SWEEP_BYTES / ms * 1e-6 : 0.0;
        best = rate > best ? rate : best;
    }
    return best;
}

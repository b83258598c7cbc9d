/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.speed: what a core of this machine does at best, measured in some milliseconds, for Lua. */
#define _GNU_SOURCE
#include "host.h"
#include "msa_arith.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define TARGET(features) __attribute__((target(features)))
#endif

#define TAKES 15

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A function that runs `steps` steps of 12 independent chains of multiply-adds, enough for latency times rate of every
 * core there is; its result depends on all of them, and none equals another. */
#define CHAINS(name, features, vector, splat, fma, sum) \
    features static float name(long steps, float first) \
    { \
        const vector a = splat(0.5f), b = splat(1.0f); \
        vector c0 = splat(first), c1 = splat(first + 1.0f), c2 = splat(first + 2.0f), c3 = splat(first + 3.0f); \
        vector c4 = splat(first + 4.0f), c5 = splat(first + 5.0f), c6 = splat(first + 6.0f); \
        vector c7 = splat(first + 7.0f), c8 = splat(first + 8.0f), c9 = splat(first + 9.0f); \
        vector c10 = splat(first + 10.0f), c11 = splat(first + 11.0f); \
        for (long i = 0; i < steps; ++i) { \
            c0 = fma(c0, a, b), c1 = fma(c1, a, b), c2 = fma(c2, a, b), c3 = fma(c3, a, b); \
            c4 = fma(c4, a, b), c5 = fma(c5, a, b), c6 = fma(c6, a, b), c7 = fma(c7, a, b); \
            c8 = fma(c8, a, b), c9 = fma(c9, a, b), c10 = fma(c10, a, b), c11 = fma(c11, a, b); \
        } \
        return sum(c0) + sum(c1) + sum(c2) + sum(c3) + sum(c4) + sum(c5) + sum(c6) + sum(c7) + sum(c8) + sum(c9) \
            + sum(c10) + sum(c11); \
    }

static inline float itself(float x) { return x; }

static inline float muladd(float a, float b, float c) { return a * b + c; }

CHAINS(scalar_chains, , float, itself, msa_fma, itself)
CHAINS(scalar_muladd_chains, , float, itself, muladd, itself)
#if defined(__x86_64__)
static inline __m128 sse_muladd(__m128 a, __m128 b, __m128 c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
CHAINS(sse_muladd_chains, , __m128, _mm_set1_ps, sse_muladd, _mm_cvtss_f32)
TARGET("avx2,fma") static inline float first8(__m256 v) { return _mm256_cvtss_f32(v); }
TARGET("avx512f") static inline float first16(__m512 v) { return _mm512_cvtss_f32(v); }
CHAINS(avx2_chains, TARGET("avx2,fma"), __m256, _mm256_set1_ps, _mm256_fmadd_ps, first8)
CHAINS(avx512_chains, TARGET("avx512f"), __m512, _mm512_set1_ps, _mm512_fmadd_ps, first16)
#elif defined(__aarch64__)
static inline float32x4_t neon_fma(float32x4_t c, float32x4_t a, float32x4_t b) { return vfmaq_f32(b, c, a); }
static inline float first4(float32x4_t v) { return vgetq_lane_f32(v, 0); }
CHAINS(neon_chains, , float32x4_t, vdupq_n_f32, neon_fma, first4)
#endif

/* fma(width, muladd) -> multiply-adds of single floats per second in vectors of `width` of them, the best of some takes
 * of about a millisecond; nil where this machine has none of that width. Fused ones, or, if muladd is true, a product
 * and a sum. */
static int speed_fma(lua_State *L)
{
    const lua_Integer width = luaL_checkinteger(L, 1);
    const int apart = lua_toboolean(L, 2);
    float (*chains)(long, float) = NULL;
    if (width == 1)
        chains = apart ? scalar_muladd_chains : scalar_chains;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (apart)
        chains = width == 4 ? sse_muladd_chains : chains;
    else if (width == 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        chains = avx2_chains;
    else if (width == 16 && __builtin_cpu_supports("avx512f"))
        chains = avx512_chains;
#elif defined(__aarch64__)
    if (width == 4 && !apart)
        chains = neon_chains;
#endif
    if (!chains) {
        lua_pushnil(L);
        return 1;
    }
    double best = 0.0;
    volatile float sink = 0.0f;
    long steps = 1000;
    for (int take = 0; take < TAKES;) {
        const double start = seconds();
        sink = sink + chains(steps, sink);
        const double taken = seconds() - start;
        if (taken < 0.5e-3 && steps < 1L << 40) {
            steps *= 2;
            continue;
        }
        const double rate = 12.0 * (double)width * (double)steps / taken;
        best = rate > best ? rate : best;
        ++take;
    }
    lua_pushnumber(L, best);
    return 1;
}

/* read(bytes) -> bytes per second of reading a block of that many in order: the best piece of some passes, since others
 * may use the memory at the same time; nil without memory for it. */
static int speed_read(lua_State *L)
{
    enum { PIECE = 1 << 18 }; /* of eight bytes: a fraction of a millisecond */
    const lua_Integer bytes = luaL_checkinteger(L, 1);
    const size_t pieces = bytes < PIECE * 8 ? 1 : (size_t)bytes / (PIECE * 8), count = pieces * PIECE;
    uint64_t *block = malloc(count * sizeof *block);
    if (!block) {
        lua_pushnil(L);
        return 1;
    }
    memset(block, 1, count * sizeof *block);
    double best = 0.0;
    volatile uint64_t sink = 0;
    for (size_t piece = 0; piece < 3 * pieces; ++piece) {
        const uint64_t *const p = block + piece % pieces * PIECE;
        uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        const double start = seconds();
        for (size_t i = 0; i < PIECE; i += 8) {
            s0 += p[i] ^ p[i + 4];
            s1 += p[i + 1] ^ p[i + 5];
            s2 += p[i + 2] ^ p[i + 6];
            s3 += p[i + 3] ^ p[i + 7];
        }
        const double rate = PIECE * 8.0 / (seconds() - start);
        sink = sink + s0 + s1 + s2 + s3;
        best = rate > best ? rate : best;
    }
    free(block);
    lua_pushnumber(L, best);
    return 1;
}

/* memory() -> bytes of this machine's memory, or nil where the system does not tell */
static int speed_memory(lua_State *L)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)pages * page);
    return 1;
}

int luaopen_msagen_speed(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"fma", speed_fma},
        {"memory", speed_memory},
        {"read", speed_read},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}

/* SPDX-License-Identifier: 0BSD */
/* The scalar arithmetic: what every kernel must compute, bit for bit, in class f32-fma-1 or, for machines without fused
 * multiply-adds, f32-muladd-1.
 *
 * Vector kernels perform these operations in this order and take the same constants.
 * Rounding is to nearest, ties to even; nothing may be contracted (-ffp-contract=off). */
#ifndef MSA_ARITH_H
#define MSA_ARITH_H

/* Flags that change results are refused by their macros. Every file of the library that computes passes here. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0) || defined(__ARM_FP_FAST)
#error "msa: remove -ffast-math, -Ofast, -ffinite-math-only, -ffp-model=fast from the compiler's flags: \
they change the results"
#endif
#if defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "msa: remove -funsafe-math-optimizations, -fassociative-math, -freciprocal-math, \
-fno-signed-zeros from the compiler's flags: they change the results"
#endif
#if defined(__GCC_IEC_559) && __GCC_IEC_559 == 0 && !defined(__SOFTFP__)
#error "msa: remove -fsingle-precision-constant, -ffp-contract=fast from the compiler's flags: they change the results"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "msa: float arithmetic must be in float: on x86 remove -mfpmath=387 (-msse2 -mfpmath=sse for 32 bits), \
with clang also -fassociative-math, -freciprocal-math"
#endif
/* What compilers do by default, or by flags without a macro of their own: multiply-adds contracted (GNU modes of gcc,
 * clang), sums regrouped. */
#if defined(__clang__)
#if defined(__x86_64__) || defined(__aarch64__)
#pragma float_control(precise, on)
#endif
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__) && !defined(__STRICT_ANSI__)
#pragma GCC optimize("fp-contract=off")
#endif

#include <stdbool.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* 0: f32-fma-1, where msa_fma rounds once. 1: f32-muladd-1, where it rounds the product, then the sum; else they are
 * the same. */
#ifndef MSA_ARITHMETIC_MULADD /* the generator puts its board's class in place of these three lines */
#define MSA_ARITHMETIC_MULADD 0
#endif

/* exp(x) = 2^n * (1 + r + r^2 * (C2 + ... + C6 r^4)), x = n ln 2 + r; +0 below the cut, so that no
 * subnormal arises. Relative error 3.1e-9 before rounding. LN2_HIGH has 15 bits, so that n LN2_HIGH and x less it are
 * exact. */
#define MSA_EXP_CUT (-60.0f)
#define MSA_EXP_LOG2E 1.44269504088896341f
#define MSA_EXP_ROUND 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer kept in the low bits */
#define MSA_EXP_LN2_HIGH 0.693145751953125f
#define MSA_EXP_LN2_LOW 1.428606765330187045e-06f
#define MSA_EXP_C2 0.4999999403953552f
#define MSA_EXP_C3 0.1666651964187622f
#define MSA_EXP_C4 0.041668400168418884f
#define MSA_EXP_C5 0.008368851616978645f
#define MSA_EXP_C6 0.0013814319390803576f

#define MSA_LOG2_LEAST 0x3f3504f3u /* sqrt(1/2), as bits */
#define MSA_LOG2_C0 1.4426948685554966f
#define MSA_LOG2_C1 (-0.7213471284702844f)
#define MSA_LOG2_C2 0.48092252893934656f
#define MSA_LOG2_C3 (-0.36072119527573215f)
#define MSA_LOG2_C4 0.2876566745328423f
#define MSA_LOG2_C5 (-0.23851943865207906f)
#define MSA_LOG2_C6 0.21737938820253236f
#define MSA_LOG2_C7 (-0.21030333325740688f)
#define MSA_LOG2_C8 0.12541241300463382f

typedef union { float f; uint32_t u; } msa_float_bits;
typedef union { double f; uint64_t u; } msa_double_bits;

static inline uint32_t msa_bits(float x)
{
    msa_float_bits b;
    b.f = x;
    return b.u;
}

static inline float msa_from_bits(uint32_t u)
{
    msa_float_bits b;
    b.u = u;
    return b.f;
}

/* a * b + c with one rounding; in f32-muladd-1 with two. */
static inline float msa_fma(float a, float b, float c)
{
#if MSA_ARITHMETIC_MULADD
    return a * b + c;
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
    return __builtin_fmaf(a, b, c);
#else
    /* The product is exact in double. The sum is rounded to odd, which makes the last rounding, to float, the only one
     * that counts (Boldo and Melquiond 2008). */
    const double p = (double)a * (double)b;
    const double d = (double)c;
    msa_double_bits s;
    s.f = p + d;
    const double v = s.f - p;
    const double e = (p - (s.f - v)) + (d - v);
    if ((e > 0.0 || e < 0.0) && (s.u & 1u) == 0u) {
        if ((e > 0.0) == (s.f > 0.0)) {
            s.u += 1u;
        } else {
            s.u -= 1u;
        }
    }
    return (float)s.f;
#endif
}

/* Where no macro tells, a file's arithmetic is asked: false if a product is contracted with a sum, sums are regrouped,
 * or the sign of a zero is lost. one: 1 + 2^-12, many: 2^24, zero: -0, known to the caller alone. */
static inline bool msa_as_written(float one, float many, float zero)
{
    return one * one - (1.0f + 0x1p-11f) == 0.0f && (many + one) - many == 2.0f && msa_bits(zero + 0.0f) == 0u;
}

/* a if a > b, else b: so b for equal zeros and whenever either is NaN. */
static inline float msa_max(float a, float b)
{
    return a > b ? a : b;
}

/* a if a < b, else b: so b for equal zeros and whenever either is NaN. */
static inline float msa_min(float a, float b)
{
    return a < b ? a : b;
}

/* a if x < c, else b. */
static inline float msa_select(float x, float c, float a, float b)
{
    return x < c ? a : b;
}

/* Correctly rounded square root; x >= 0 or NaN. */
static inline float msa_sqrt(float x)
{
#if defined(__SSE2__)
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
#elif defined(__aarch64__)
    return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0);
#elif defined(__ARM_FP) && (__ARM_FP & 4) != 0 && defined(__GNUC__)
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
    return root;
#else
    uint32_t u = msa_bits(x);
    int32_t e = (int32_t)(u >> 23);
    if (u == 0u || u >= 0x7f800000u) {
        return x;
    }
    if (e == 0) {
        u = msa_bits(x * 16777216.0f);
        e = (int32_t)(u >> 23) - 24;
    }
    e -= 127;
    uint64_t m = (uint64_t)((u & 0x7fffffu) | 0x800000u) << 25; /* x = m * 2^(e - 48), m in [2^48, 2^49) */
    if ((e & 1) != 0) {
        m <<= 1;
        e -= 1;
    }
    uint64_t root = 0, rest = m;
    for (int bit = 24; bit >= 0; --bit) {
        const uint64_t t = ((root << 1) + ((uint64_t)1 << bit)) << bit;
        if (rest >= t) {
            rest -= t;
            root += (uint64_t)1 << bit;
        }
    }
    const uint32_t mantissa = (uint32_t)((root >> 1) + (root & 1u)); /* a root is never a tie */
    return msa_from_bits((uint32_t)((e / 2 + 126) << 23) + mantissa);
#endif
}

/* e^x for x <= 0. */
static inline float msa_exp(float x)
{
    if (x < MSA_EXP_CUT) {
        return 0.0f;
    }
    const float t = msa_fma(x, MSA_EXP_LOG2E, MSA_EXP_ROUND);
    const float n = t - MSA_EXP_ROUND;
    float r = msa_fma(n, -MSA_EXP_LN2_HIGH, x);
    r = msa_fma(n, -MSA_EXP_LN2_LOW, r);
    float p = MSA_EXP_C6;
    p = msa_fma(p, r, MSA_EXP_C5);
    p = msa_fma(p, r, MSA_EXP_C4);
    p = msa_fma(p, r, MSA_EXP_C3);
    p = msa_fma(p, r, MSA_EXP_C2);
    p = msa_fma(p, r, 1.0f);
    p = msa_fma(p, r, 1.0f);
    return msa_from_bits(msa_bits(p) + (msa_bits(t) << 23));
}

/* x = m 2^n with m from sqrt(1/2) to sqrt(2), x normal and above 0: n, and m. */
static inline float msa_exponent(float x)
{
    const uint32_t u = msa_bits(x) - MSA_LOG2_LEAST;
    const int32_t exponent = (int32_t)(u >> 23) - (int32_t)((u >> 31) << 9);
    return (float)exponent;
}

static inline float msa_mantissa(float x)
{
    return msa_from_bits(((msa_bits(x) - MSA_LOG2_LEAST) & 0x7fffffu) + MSA_LOG2_LEAST);
}

/* log2(m) = f (C0 + C1 f + ... + C8 f^8), f = m - 1, of such an m. Error 6.7e-9 before rounding. */
static inline float msa_log2_near(float m)
{
    const float f = m - 1.0f;
    float p = MSA_LOG2_C8;
    p = msa_fma(p, f, MSA_LOG2_C7);
    p = msa_fma(p, f, MSA_LOG2_C6);
    p = msa_fma(p, f, MSA_LOG2_C5);
    p = msa_fma(p, f, MSA_LOG2_C4);
    p = msa_fma(p, f, MSA_LOG2_C3);
    p = msa_fma(p, f, MSA_LOG2_C2);
    p = msa_fma(p, f, MSA_LOG2_C1);
    p = msa_fma(p, f, MSA_LOG2_C0);
    return p * f;
}

/* An angle less the nearest multiple of pi/2: high + low, |high| <= pi/4 or little more, low what high rounds away;
 * quadrant is that multiple modulo 4. */
typedef struct {
    float high, low;
    uint32_t quadrant;
} msa_angle;

/* For |x| < 10^5. */
static inline msa_angle msa_reduce(float x)
{
    const float t = msa_fma(x, 0.636619772367581343f, MSA_EXP_ROUND);
    const float n = t - MSA_EXP_ROUND;
#if MSA_ARITHMETIC_MULADD
    const float d = (x - n * 1.5703125f) - n * 4.84466552734375e-4f; /* 8 and 7 bits by 16 of n: exact, and */
    const float e = n * 6.39757837755768678e-7f; /* what is left of pi/2 */
#else
    const float p = n * 1.57079637050628662109375f; /* pi/2 as a float, and */
    const float rest = msa_fma(n, 1.57079637050628662109375f, -p); /* what the product rounds away, and */
    const float d = x - p;
    const float e = msa_fma(n, 4.37113900018624283e-8f, -rest); /* what pi/2 does */
#endif
    msa_angle a;
    a.high = d + e;
    const float v = a.high - d;
    a.low = (d - (a.high - v)) + (e - v);
    a.quadrant = msa_bits(t) & 3u;
    return a;
}

/* Sine in quadrant 0, cosine in 1, and so on; sums end with their largest term, so that only its rounding counts. */
static inline float msa_sin_in_quadrant(msa_angle a, uint32_t quadrant)
{
    const float r = a.high, z = r * r;
    float s = 2.7175644845556235e-06f, c = 2.4431205019936897e-05f;
    s = msa_fma(s, z, -0.00019839256128761917f);
    s = msa_fma(s, z, 0.008333329111337662f);
    s = msa_fma(s, z, -0.1666666716337204f);
    s = msa_fma(s * z, r, msa_fma(z * -0.5f, a.low, a.low)) + r;
    c = msa_fma(c, z, -0.0013887305976822972f);
    c = msa_fma(c, z, 0.04166664555668831f);
    const float half = z * 0.5f, most = 1.0f - half;
    float small = (1.0f - most) - half;
    small = msa_fma(msa_fma(r, r, -z), -0.5f, small);
    small = msa_fma(-r, a.low, small);
    c = msa_fma(c * z, z, small) + most;
    const float v = (quadrant & 1u) != 0u ? c : s;
    return (quadrant & 2u) != 0u ? -v : v;
}

static inline float msa_sin(float x)
{
    const msa_angle a = msa_reduce(x);
    return msa_sin_in_quadrant(a, a.quadrant);
}

static inline float msa_cos(float x)
{
    const msa_angle a = msa_reduce(x);
    return msa_sin_in_quadrant(a, a.quadrant + 1u);
}

#endif

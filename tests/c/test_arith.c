/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar arithmetic of class f32-fma-1 against the C library: fma and square root to the bit, the rest within its
 * stated error. */
#include "msa_arith.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

static uint64_t state = 1;

static uint32_t random_bits(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static uint32_t bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* A float with an exponent within `range` of 1's, any mantissa; now and then with few bits set, so that ties happen. */
static float some_float(uint32_t range)
{
    const uint32_t u = random_bits(), kind = random_bits() % 4;
    const uint32_t mantissa = kind == 0 ? 1u << (u % 23) : kind == 1 ? 0x7fffffu & ~((1u << (u % 23)) - 1u)
        : u & 0x7fffffu;
    return from_bits((u & 0x80000000u) | (127u - range + random_bits() % (2u * range + 1u)) << 23 | mantissa);
}

static void same_fma(float a, float b, float c)
{
    const float got = msa_fma(a, b, c), expected = fmaf(a, b, c);
    if (isnan(expected))
        cr_assert(isnan(got), "fma(%a, %a, %a) is %a", (double)a, (double)b, (double)c, (double)got);
    else
        cr_assert_eq(bits(got), bits(expected), "fma(%a, %a, %a) is %a, not %a", (double)a, (double)b, (double)c,
            (double)got, (double)expected);
}

Test(arith, fma_is_exact)
{
    for (int i = 0; i < 3000000; ++i)
        same_fma(some_float(12), some_float(12), some_float(25));
    /* Sums that cancel, and sums of very different size. */
    for (int i = 0; i < 1000000; ++i) {
        const float a = some_float(30), b = some_float(30);
        same_fma(a, b, -(a * b));
        same_fma(a, b, nextafterf(-(a * b), random_bits() % 2 ? INFINITY : -INFINITY));
        same_fma(a, b, some_float(100));
    }
}

/* Where rounding a double to float would round twice: the product's tail decides a tie. */
Test(arith, fma_hard_cases)
{
    same_fma(1.0f + 0x1p-12f, 1.0f + 0x1p-12f, 0x1p24f);
    same_fma(0x1.000002p0f, 0x1.000002p0f, 0x1p24f);
    same_fma(0x1.fffffep0f, 0x1.fffffep0f, 0x1p53f);
    same_fma(0x1.000002p0f, 0x1.000002p-25f, 1.0f);
    same_fma(-0x1.000002p0f, 0x1.000002p-25f, 1.0f);
    same_fma(0x1.000002p-30f, 0x1.fffffep-30f, 0x1.000002p0f);
    same_fma(0x1p-60f, 0x1p-60f, 0x1p-24f);
    for (uint32_t shift = 0; shift < 64; ++shift) {
        const float c = ldexpf(1.0f, -(int)shift);
        same_fma(0x1.000002p0f, 0x1.000002p0f, c);
        same_fma(0x1.000002p0f, 0x1.fffffep0f, -c);
        same_fma(0x1.000002p-12f, 0x1.000002p-12f, c);
        same_fma(0x1.000002p-12f, 0x1.000002p-12f, -c);
    }
}

Test(arith, fma_of_zeros_infinities_and_nan)
{
    const float values[] = {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX};
    enum { N = sizeof values / sizeof *values };
    for (int i = 0; i < N * N * N; ++i)
        same_fma(values[i / (N * N)], values[i / N % N], values[i % N]);
}

Test(arith, square_root_is_correctly_rounded)
{
    cr_assert_eq(bits(msa_sqrt(0.0f)), bits(0.0f));
    cr_assert_eq(msa_sqrt(FLT_MAX), sqrtf(FLT_MAX));
    cr_assert(isnan(msa_sqrt(NAN)));
    for (int i = 0; i < 1000000; ++i) {
        const float x = fabsf(some_float(120));
        cr_assert_eq(bits(msa_sqrt(x)), bits(sqrtf(x)), "sqrt(%a)", (double)x);
    }
}

Test(arith, maximum_takes_the_second_of_equals_and_of_nan)
{
    cr_assert_eq(msa_max(2.0f, 1.0f), 2.0f);
    cr_assert_eq(msa_max(1.0f, 2.0f), 2.0f);
    cr_assert_eq(bits(msa_max(-0.0f, 0.0f)), bits(0.0f));
    cr_assert_eq(bits(msa_max(0.0f, -0.0f)), bits(-0.0f));
    cr_assert_eq(msa_max(NAN, 3.0f), 3.0f);
    cr_assert(isnan(msa_max(3.0f, NAN)));
}

Test(arith, minimum_and_selection_take_the_second_of_equals_and_of_nan)
{
    cr_assert_eq(msa_min(2.0f, 1.0f), 1.0f);
    cr_assert_eq(msa_min(1.0f, 2.0f), 1.0f);
    cr_assert_eq(bits(msa_min(-0.0f, 0.0f)), bits(0.0f));
    cr_assert_eq(bits(msa_min(0.0f, -0.0f)), bits(-0.0f));
    cr_assert_eq(msa_min(NAN, 3.0f), 3.0f);
    cr_assert(isnan(msa_min(3.0f, NAN)));
    cr_assert_eq(msa_select(-1.0f, 0.0f, 5.0f, 7.0f), 5.0f);
    cr_assert_eq(msa_select(0.0f, 0.0f, 5.0f, 7.0f), 7.0f);
    cr_assert_eq(msa_select(NAN, 0.0f, 5.0f, 7.0f), 7.0f);
    cr_assert_eq(msa_select(0.0f, NAN, 5.0f, 7.0f), 7.0f);
}

Test(arith, exponential)
{
    cr_assert_eq(bits(msa_exp(0.0f)), bits(1.0f));
    cr_assert_eq(bits(msa_exp(-60.001f)), bits(0.0f));
    cr_assert_eq(bits(msa_exp(-FLT_MAX)), bits(0.0f));
    for (int i = 0; i < 1000000; ++i) {
        const float x = (float)random_bits() * (-60.0f / 4294967296.0f);
        const double expected = exp((double)x);
        cr_assert_leq(fabs(msa_exp(x) - expected), 1.2e-7 * expected, "exp(%a)", (double)x);
        cr_assert(msa_exp(x) >= FLT_MIN, "exp(%a) is subnormal", (double)x);
    }
}

Test(arith, sine_and_cosine)
{
    for (int i = 0; i < 1000000; ++i) {
        const float x = ((float)random_bits() / 4294967296.0f - 0.5f) * (i % 2 ? 200.0f : 20000.0f);
        cr_assert_leq(fabs(msa_sin(x) - sin((double)x)), 1.2e-7, "sin(%a)", (double)x);
        cr_assert_leq(fabs(msa_cos(x) - cos((double)x)), 1.2e-7, "cos(%a)", (double)x);
    }
    cr_assert_eq(msa_sin(0.0f), 0.0f);
    cr_assert_eq(msa_cos(0.0f), 1.0f);
}

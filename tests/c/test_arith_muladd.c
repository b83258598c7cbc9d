/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar arithmetic of class f32-muladd-1: multiply-adds of two roundings, and what that leaves of exp, sine and
 * cosine. */
#define MSA_ARITHMETIC_MULADD 1
#include "msa_arith.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

static uint64_t state = 1;

static uint32_t random_bits(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

/* Uniform in [-1, 1), of 32 bits rounded to float: many small ones. */
static float uniform(void)
{
    return (float)((double)random_bits() * 0x1p-31 - 1.0);
}

static double ulp(double x)
{
    return ldexp(1.0, ilogb(x) - 23);
}

Test(arith_muladd, a_product_is_rounded_before_it_is_added)
{
    int apart = 0;
    for (int i = 0; i < 1000000; ++i) {
        const float a = uniform(), b = uniform(), c = uniform();
        volatile float product = a * b;
        volatile float sum = product + c;
        cr_assert_eq(msa_bits(msa_fma(a, b, c)), msa_bits(sum), "%a * %a + %a", (double)a, (double)b, (double)c);
        apart += msa_bits(sum) != msa_bits(fmaf(a, b, c));
    }
    cr_assert_gt(apart, 100000); /* it is another class */
    cr_assert_eq(msa_fma(1.0f + 0x1p-23f, 1.0f - 0x1p-23f, -1.0f), 0.0f);
}

static void exponential_of(float x)
{
    const double expected = exp((double)x), apart = fabs(msa_exp(x) - expected);
    cr_assert_leq(apart, 1.2 * ulp(expected), "exp(%a)", (double)x);
    cr_assert_leq(apart, 1e-7 * expected, "exp(%a)", (double)x);
    cr_assert(msa_exp(x) >= FLT_MIN, "exp(%a) is subnormal", (double)x);
}

Test(arith_muladd, exponential)
{
    cr_assert_eq(msa_bits(msa_exp(0.0f)), msa_bits(1.0f));
    cr_assert_eq(msa_bits(msa_exp(-0.0f)), msa_bits(1.0f));
    cr_assert_eq(msa_bits(msa_exp(-60.001f)), msa_bits(0.0f));
    cr_assert_eq(msa_bits(msa_exp(-FLT_MAX)), msa_bits(0.0f));
    for (int i = 0; i < 2000000; ++i)
        exponential_of((float)random_bits() * (-60.0f / 4294967296.0f));
    /* Around the places where n changes, the reduced argument is largest. */
    for (int n = 0; n <= 86; ++n) {
        float x = (float)(-((double)n + 0.5) * 0.693147180559945309);
        for (int i = 0; i < 200; ++i)
            x = nextafterf(x, 0.0f);
        for (int i = 0; i < 400; ++i, x = nextafterf(x, -100.0f))
            exponential_of(fmaxf(x, -60.0f));
    }
}

static void sine_and_cosine_of(float x)
{
    cr_assert_leq(fabs(msa_sin(x) - sin((double)x)), 6e-8, "sin(%a)", (double)x);
    cr_assert_leq(fabs(msa_cos(x) - cos((double)x)), 6e-8, "cos(%a)", (double)x);
}

Test(arith_muladd, sine_and_cosine)
{
    const float ranges[] = {1.0f, 6.3f, 100.0f, 10000.0f, 99999.0f};
    for (int i = 0; i < 2000000; ++i)
        sine_and_cosine_of(ranges[i % 5] * uniform());
    for (int i = 0; i < 1000000; ++i) { /* within the first turn they are good to the last places, but for zeros */
        const float x = 6.3f * uniform();
        const double s = sin((double)x), c = cos((double)x);
        cr_assert_leq(fabs(msa_sin(x) - s), 1.6 * ulp(s) + 1e-14, "sin(%a)", (double)x);
        cr_assert_leq(fabs(msa_cos(x) - c), 1.6 * ulp(c) + 1e-14, "cos(%a)", (double)x);
    }
    /* Near multiples of pi/2, and where the multiple changes, up to the largest: n has 16 bits. */
    for (uint32_t n = 0; n <= 127320; ++n) {
        const float x = (float)((double)n * 0.785398163397448310);
        sine_and_cosine_of(x);
        sine_and_cosine_of(-nextafterf(x, 1e6f));
    }
    cr_assert_eq(msa_sin(0.0f), 0.0f);
    cr_assert_eq(msa_cos(0.0f), 1.0f);
}

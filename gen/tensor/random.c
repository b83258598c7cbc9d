/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers of a counter: number i of a key depends on nothing but key and i, and has the same bits everywhere. */
#include "random.h"

#include "elementary.h"

#include <math.h>
#include <stdlib.h>

uint64_t msagen_random_mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t msagen_random_bits(uint64_t key, uint64_t i)
{
    return msagen_random_mix(key + (i + 1) * UINT64_C(0x9E3779B97F4A7C15));
}

uint64_t msagen_random_below(uint64_t key, uint64_t i, uint64_t n)
{
    const uint64_t beyond = (UINT64_MAX % n + 1) % n; /* 2^64 modulo n: so many bits at the end are not used */
    uint64_t bits = msagen_random_bits(key, i);
    while (bits > UINT64_MAX - beyond)
        bits = msagen_random_bits(bits, 0);
    return bits % n;
}

double msagen_random_unit(uint64_t key, uint64_t i)
{
    return (double)(msagen_random_bits(key, i) >> 11) * 0x1p-53;
}

/* ---- the normal distribution ---- */

enum { TERMS = 8 };

struct ratio {
    double above[TERMS], below[TERMS];
};

static double ratio_at(const struct ratio *r, double x)
{
    double above = r->above[TERMS - 1], below = r->below[TERMS - 1];
    for (int i = TERMS - 2; i >= 0; --i) {
        above = above * x + r->above[i];
        below = below * x + r->below[i];
    }
    return above / below;
}

static const struct ratio middle = {
    {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3},
    {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
     3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3},
};

static const struct ratio sides = {
    {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4},
    {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
     1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9},
};

static const struct ratio tails = {
    {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7},
    {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15},
};

double msagen_random_normal(uint64_t key, uint64_t i)
{
    const double p = ((double)(msagen_random_bits(key, i) >> 12) + 0.5) * 0x1p-52;
    const double q = p - 0.5;
    if (fabs(q) <= 0.425)
        return q * ratio_at(&middle, 0.180625 - q * q);
    const double r = sqrt(-msagen_log(q < 0.0 ? p : 1.0 - p));
    const double far = r <= 5.0 ? ratio_at(&sides, r - 1.6) : ratio_at(&tails, r - 5.0);
    return q < 0.0 ? -far : far;
}

/* ---- order ---- */

struct place {
    uint64_t bits;
    int64_t number;
};

static int by_bits(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->bits != y->bits)
        return x->bits < y->bits ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

int msagen_random_order(uint64_t key, size_t n, size_t count, int64_t *out)
{
    struct place *places = n < SIZE_MAX / sizeof *places ? malloc((n + 1) * sizeof *places) : NULL;
    if (!places)
        return -1;
    for (size_t i = 0; i < n; ++i) {
        places[i].bits = msagen_random_bits(key, i);
        places[i].number = (int64_t)i;
    }
    qsort(places, n, sizeof *places, by_bits);
    for (size_t i = 0; i < count; ++i)
        out[i] = places[i].number;
    free(places);
    return 0;
}

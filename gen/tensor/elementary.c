/* SPDX-License-Identifier: Apache-2.0 */
/* Elementary functions of + - * / in double alone. (frexp, ldexp and floor are exact.) */
#include "elementary.h"

#include <math.h>

/* ln 2 in two parts, of which the first has its lower 21 bits 0: a whole number of it below 2^20 is exact. */
static const double LN2_HIGH = 0x1.62e42fee00000p-1, LN2_LOW = 0x1.a39ef35793c76p-33;

double msagen_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2.0;
        --exponent;
    }
    /* log m = 2 artanh s */
    const double s = (m - 1.0) / (m + 1.0), square = s * s;
    double sum = 0.0;
    for (int k = 25; k >= 3; k -= 2)
        sum = (sum + 1.0 / (double)k) * square;
    return (double)exponent * LN2_HIGH + ((double)exponent * LN2_LOW + 2.0 * (s + s * sum));
}

double msagen_exp(double x)
{
    const double n = floor(x / (LN2_HIGH + LN2_LOW) + 0.5);
    const double r = (x - n * LN2_HIGH) - n * LN2_LOW;
    double sum = 1.0;
    for (int k = 16; k >= 1; --k)
        sum = 1.0 + sum * r / (double)k;
    return ldexp(sum, (int)n);
}

void msagen_turn(double degrees, double *cosine, double *sine)
{
    const double quarters = floor(degrees / 90.0 + 0.5);
    const double r = (degrees - 90.0 * quarters) * (0x1.921fb54442d18p+1 / 180.0), square = r * r;
    double c = 1.0, s = 1.0;
    for (int k = 20; k >= 2; k -= 2) {
        c = 1.0 - c * square / (double)(k * (k - 1));
        s = 1.0 - s * square / (double)(k * (k + 1));
    }
    s *= r;
    const int turned = (int)(quarters - 4.0 * floor(quarters / 4.0));
    *cosine = turned == 0 ? c : turned == 1 ? -s : turned == 2 ? -c : s;
    *sine = turned == 0 ? s : turned == 1 ? c : turned == 2 ? -s : -c;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of training in double precision, with the functions of libm: what the classes of arithmetic round is
 * measured by it. Its bits are no definition. */
#define MSA_TRAIN_FLOAT64
#define TRAINING(name) name##_float64
#define TRAINING_CLASS "float64"
#include <math.h>
#include <stddef.h>
#include <stdint.h>

typedef double msa_real;

typedef struct {
    uint32_t low, high;
    double share;
} msa_between;

static inline msa_real msa_fma(msa_real a, msa_real b, msa_real c) { return a * b + c; }
static inline msa_real msa_max(msa_real a, msa_real b) { return a > b ? a : b; }
static inline msa_real msa_min(msa_real a, msa_real b) { return a < b ? a : b; }
static inline msa_real msa_sqrt(msa_real x) { return sqrt(x); }
static inline msa_real msa_exp(msa_real x) { return exp(x); }
static inline msa_real msa_log1p(msa_real e) { return log1p(e); }
static inline msa_real msa_blended(msa_real a, msa_real b, msa_real share) { return a * (1 - share) + b * share; }

static msa_between msa_between_at(uint32_t in, uint32_t out, uint32_t at)
{
    const double source = fmax((double)in / out * (at + 0.5) - 0.5, 0.0);
    msa_between b;
    b.low = source < in - 1.0 ? (uint32_t)source : in - 1;
    b.high = b.low + 1 < in ? b.low + 1 : b.low;
    b.share = source - b.low;
    return b;
}

static inline int msa_is_bounded(msa_real x) { return fabs(x) < 0x1p60; }
static inline int msa_is_share(float x) { return x >= 0 && x <= 1; }

static void roots(double *x)
{
    for (int j = 0; j < 64; ++j)
        x[j] = sqrt(x[j]);
}

#include "training.c"

void msa_squares_largest(msa_squares *squares, const double *gradient, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        squares->largest = fmax(squares->largest, isfinite(gradient[i]) ? fabs(gradient[i]) : 0x1p126);
}

void msa_squares_add(msa_squares *squares, const double *gradient, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        squares->sum += gradient[i] * gradient[i];
}

double msa_squares_norm(const msa_squares *squares)
{
    return sqrt(squares->sum);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels in double precision, with the functions of libm: an oracle of what the classes of arithmetic
 * round. Its bits are no definition: they may differ between C libraries. */
#define REFERENCE_FLOAT64
#include <math.h>

typedef double real;

static inline real packed_weight(real w) { return w; }
static inline real msa_fma(real a, real b, real c) { return a * b + c; }
static inline real msa_max(real a, real b) { return a > b ? a : b; }
static inline real msa_min(real a, real b) { return a < b ? a : b; }
static inline real msa_select(real x, real c, real a, real b) { return x < c ? a : b; }
static inline real msa_sqrt(real x) { return sqrt(x); }
static inline real msa_exp(real x) { return exp(x); }
static inline real msa_sin(real x) { return sin(x); }
static inline real msa_cos(real x) { return cos(x); }

#include "reference.c"

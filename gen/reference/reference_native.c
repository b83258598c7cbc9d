/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of f32-fma-1 once more, compiled for processors of x86-64 that have fused multiply-adds: where a
 * program for all of them has each of those computed by software, exactly and slowly. */
#include "reference.h"

#if defined __x86_64__ && defined __GNUC__ && !defined __clang__ && !defined __FMA__
#define REFERENCE_NATIVE
#include <emmintrin.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC target("avx2,fma")
#include "reference.c"

const struct msagen_reference *msagen_reference_fastest_fma(void)
{
    return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2") ? &native : &msagen_reference_fma;
}
#else
const struct msagen_reference *msagen_reference_fastest_fma(void)
{
    return &msagen_reference_fma;
}
#endif

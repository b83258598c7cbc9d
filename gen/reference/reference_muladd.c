/* SPDX-License-Identifier: Apache-2.0 */
/* The naive kernels of f32-muladd-1: those of f32-fma-1 with two roundings in each multiply-add. */
#define MSA_ARITHMETIC_MULADD 1
#include "reference.c"

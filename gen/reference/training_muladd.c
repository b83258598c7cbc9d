/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of training in f32-muladd-1. */
#define MSA_ARITHMETIC_MULADD 1
#define TRAINING(name) name##_muladd
#define TRAINING_CLASS "f32-muladd-1"
#include "training.c"

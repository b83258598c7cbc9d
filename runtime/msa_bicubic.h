/* SPDX-License-Identifier: 0BSD */
/* msa_bicubic.h - whether the file that enlarges logits was compiled so that it computes what it says. */
#ifndef MSA_BICUBIC_H
#define MSA_BICUBIC_H

#include "msa_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

bool msa_bicubic_as_written(float one, float many, float zero);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: 0BSD */
/* msa_kernels.c - matrix products, attention, norms and element-wise steps for $(board.name). $(made_by)
 * A name says its shape: msa_gemm_MxNxK, msa_attend_QUERIESxKEYSxWIDTH. Sizes and strides are in floats. */
#include "msa_kernels.h"
#include "msa_simd.h"

void *memcpy(void *to, const void *from, size_t bytes);

@ for _, text in ipairs(kernels.texts) do
$(text:sub(1, -2))
@ end

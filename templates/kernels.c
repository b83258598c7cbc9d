/* SPDX-License-Identifier: 0BSD */
/* msa_kernels.c - matrix products, attention, norms and element-wise steps for $(board.name). $(made_by)
 * A name says its shape: msa_gemm_MxNxK, msa_attend_QUERIESxKEYSxWIDTH. Sizes and strides are in floats. */
#include "msa_kernels.h"
#include "msa_simd.h"

void *memcpy(void *to, const void *from, size_t bytes);

@ if isa.flushes then
bool msa_flushing_tells(void)
{
    volatile float least = FLT_MIN;
    float half[$(isa.width)];
    msa_clear_flushed();
    msa_store(half, msa_hold(msa_vmul(msa_splat(least), msa_splat(0.5f))));
    const bool told = msa_flushed();
    msa_clear_flushed();
    return told || half[0] > 0.0f;
}

@ end
@ for _, text in ipairs(kernels.texts) do
$(text:sub(1, -2))
@ end

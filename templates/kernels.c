/* SPDX-License-Identifier: 0BSD */
/* msa_kernels.c - matrix products, attention, norms and element-wise steps for $(board.name).
 * $(made_by)
 * A name says type and what is constant: msa_gemm_f32_TILES, msa_attend_f32_QUERIESxKEYSxWIDTH,
 * msa_layernorm_f32_WIDTH.
 * What else differs between calls are their last arguments. Sizes and strides are in floats. */
#include "msa_kernels.h"
#include "msa_simd.h"
@ if kernels.int8 then
#include "msa_int8.h"
@ end

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

/* Declared in msa_runtime.h. */
bool msa_kernels_as_written(float one, float many, float zero);

bool msa_kernels_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}

@ if isa.flushes then
/* a * b, for one of which a vector must flush: a flag says so, or it did not. */
static bool tells(float a, float b)
{
    volatile float left = a, right = b;
    float product[$(isa.width)];
    msa_clear_flushed();
    msa_store(product, msa_hold(msa_vmul(msa_splat(left), msa_splat(right))));
    const bool told = msa_flushed();
    msa_clear_flushed();
    return told || product[0] > 0.0f;
}

/* A subnormal result has a flag, a subnormal operand another one. */
bool msa_flushing_tells(void)
{
    return tells(FLT_MIN, 0.5f) && tells(0.5f * FLT_MIN, 2.0f);
}

@ end
@ for _, text in ipairs(kernels.texts) do
$(text:sub(1, -2))
@ end

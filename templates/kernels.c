/* SPDX-License-Identifier: 0BSD */
/* msa_kernels.c - matrix products, attention, norms and element-wise steps for $(board.name).
 * $(made_by)
 * A name says type and what is constant: msa_gemm_f32_TILES, msa_attend_f32_QUERIESxKEYSxWIDTH,
 * msa_layernorm_f32_WIDTH.
 * What else differs between calls are their last arguments. Sizes and strides are in floats. */
#include "msa_kernels.h"
#include "msa_simd.h"
@ for _, header in ipairs(kernels:headers()) do
#include "$(header)"
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
@ if kernels:multiplies_pairs() then
/* Whether a pair's products are a chain of two, the second number's first: of numbers that any other order, and any
 * other number of roundings, sums to something else, and of a few without a pattern. */
bool msa_pairs_in_order(void)
{
    volatile uint32_t seed = 0x2545f491u;
    uint32_t state = seed;
    float word[3][$(isa.width)], sum[$(isa.width)];
    for (int round = 0; round < 8; ++round) {
        for (size_t i = 0; i < $(3 * isa.width); ++i) {
            state = state * 1664525u + 1013904223u;
            const uint32_t bits = i / $(isa.width) == 2 ? state >> 9 : (state & 0xc07fc07fu) | 0x3f003f00u;
            word[i / $(isa.width)][i % $(isa.width)] = msa_from_bits(i / $(isa.width) == 2 ? bits | 0x3f800000u : bits);
        }
        word[0][0] = msa_pair(0x1p-12f, 0x1.02p-12f);
        word[1][0] = msa_pair(0x1p-12f, 0x1p-12f);
        word[2][0] = 1.0f;
        msa_store(sum, msa_vpairs(msa_load(word[0]), msa_load(word[1]), msa_load(word[2])));
        for (size_t i = 0; i < $(isa.width); ++i) {
            const float second = msa_fma(msa_second(word[0][i]), msa_second(word[1][i]), word[2][i]);
            const float both = msa_fma(msa_first(word[0][i]), msa_first(word[1][i]), second);
            if (msa_bits(sum[i]) != msa_bits(both)) {
                return false;
            }
        }
    }
    return true;
}

@ end
@ for _, text in ipairs(kernels.texts) do
$(text:sub(1, -2))
@ end

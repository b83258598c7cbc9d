/* SPDX-License-Identifier: 0BSD */
/* msa_bf16.h - numbers of 8 significant bits, each the upper half of a float. $(made_by)
 * docs/arithmetic.md of msagen defines them (bf16-1). */
#ifndef MSA_BF16_H
#define MSA_BF16_H

#include "msa_simd.h"
@ if bf16 then
@   for _, macro in ipairs(bf16.macros or {}) do
#ifndef $(macro)
#error "msa: these are products of $(bf16.name): compile with the flags of the Makefile beside this file: \
$(flags)"
#endif
@   end
@ end

/* The nearest one, of two as near the one that ends in 0; +0 below 2^-50; NaN where x is not finite. */
static inline float msa_bf16(float x)
{
    const uint32_t bits = msa_bits(x), magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x7f800000u) {
        return msa_from_bits(0x7fc00000u);
    }
    return msa_from_bits(magnitude < 0x26800000u ? 0u : (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

/* Two of them in a word, whose bits a float has; and each of them again. */
static inline float msa_pair(float first, float second)
{
    return msa_from_bits(msa_bits(first) >> 16 | msa_bits(second));
}

static inline float msa_first(float pair) { return msa_from_bits(msa_bits(pair) << 16); }
static inline float msa_second(float pair) { return msa_from_bits(msa_bits(pair) & 0xffff0000u); }

@ if isa.width == 1 then
static inline msa_vec msa_vfirst(msa_vec pair) { return msa_first(pair); }
static inline msa_vec msa_vsecond(msa_vec pair) { return msa_second(pair); }
@ else
typedef uint32_t msa_words __attribute__((vector_size($(4 * isa.width))));

static inline msa_vec msa_vbf16(msa_vec x)
{
    const msa_words bits = (msa_words)x, magnitude = bits & 0x7fffffffu;
    const msa_words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
    return (msa_vec)((rounded & (msa_words)(magnitude >= 0x26800000u))
        | ((msa_words)(magnitude >= 0x7f800000u) & 0x7fc00000u));
}

static inline msa_vec msa_vfirst(msa_vec pair) { return (msa_vec)((msa_words)pair << 16); }
static inline msa_vec msa_vsecond(msa_vec pair) { return (msa_vec)((msa_words)pair & 0xffff0000u); }

@   if not bf16 then
/* Neighbours change places. */
@     if isa.turn then
static inline msa_vec msa_vturn(msa_vec x) { return $(isa.turn); }
@     else
static inline msa_vec msa_vturn(msa_vec x)
{
    float v[$(isa.width)], turned[$(isa.width)];
    msa_store(v, x);
    for (size_t i = 0; i < $(isa.width); ++i) {
        turned[i] = v[i ^ 1];
    }
    return msa_load(turned);
}
@     end
@   end
@ end
@ if bf16 then
/* c plus the products of each lane's two numbers, the second ones first: a chain of two fused multiply-adds, as
 * msa_open makes sure. */
static inline msa_vec msa_vpairs(msa_vec a, msa_vec b, msa_vec c) { return $(bf16.dot); }
/* Numbers in bf16 as pairs, half as many words. */
static inline void msa_store_pairs(float *p, msa_vec v) { $(bf16.store); }
@ end

#endif

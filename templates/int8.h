/* SPDX-License-Identifier: 0BSD */
/* msa_int8.h - whole numbers of 8 bits for products: what they are made of and multiplied by. $(made_by)
 * docs/arithmetic.md of msagen defines them (int8-dyn-1). */
#ifndef MSA_INT8_H
#define MSA_INT8_H

#include "msa_simd.h"
@ for _, macro in ipairs(integer.macros or {}) do
#ifndef $(macro)
#error "msa: these are products of $(integer.name): compile with the flags of the Makefile beside this file: \
$(flags)"
#endif
@ end
@ if integer.include then
#include <$(integer.include)>
@ end

void *memcpy(void *to, const void *from, size_t bytes);

/* 32 bits at any address. Compilers that know attributes need no function for them, which without a library they would
 * call. */
#if defined(__GNUC__)
typedef uint32_t msa_word_anywhere __attribute__((aligned(1), may_alias));
static inline uint32_t msa_word(const void *p) { return *(const msa_word_anywhere *)p; }
static inline void msa_store_word(void *p, uint32_t w) { *(msa_word_anywhere *)p = w; }
#else
static inline uint32_t msa_word(const void *p)
{
    uint32_t w;
    (void)memcpy(&w, p, sizeof w);
    return w;
}

static inline void msa_store_word(void *p, uint32_t w) { memcpy(p, &w, sizeof w); }
#endif

/* The scale at p. */
static inline float msa_scale(const int8_t *p) { return msa_from_bits(msa_word(p)); }

/* What rounds to a whole number where it is added: that number is in the low bits of the sum. */
#define MSA_WHOLE 12582912.0f
/* The same of a row's number as it is stored. */
#define MSA_STORED $(integer.biased and "12583040.0f" or "12582912.0f")

@ if integer.vector then
typedef $(integer.vector);

@   if integer.word then
/* Four bytes, or two numbers of 16 bits, in every lane. */
static inline msa_ints msa_ints_of(const int8_t *p)
{
    const int32_t w = (int32_t)msa_word(p);
    return $(integer.word);
}

@   end
@   if integer.load then
static inline msa_ints msa_load_ints(const void *p) { return $(integer.load); }
@   end
@   for _, one in ipairs { "bytes", "pairs" } do
@     if integer[one] then
static inline msa_ints msa_$(one)(msa_ints c, msa_ints a, msa_ints b) { return $(integer[one]); }
@     end
@   end
@   if integer.bytes_lane then
@     for lane = 0, 3 do
static inline msa_ints msa_bytes_lane$(lane)(msa_ints c, msa_ints a, msa_ints b)
{
    return $(integer.bytes_lane:gsub("%f[%w]lane%f[%W]", tostring(lane)));
}
@     end
@   end
@   for _, one in ipairs { "widen_low", "widen_high", "shift7" } do
@     if integer[one] then
static inline msa_ints msa_$(one)(msa_ints b) { return $(integer[one]); }
@     end
@   end
@   if integer.join then
/* The sums of pairs of a's lanes, then of b's. */
static inline msa_ints msa_join(msa_ints a, msa_ints b) { return $(integer.join); }
@   end
@   if integer.float and integer.lanes == isa.width then
static inline msa_vec msa_float_of(msa_ints c) { return $(integer.float); }
@   end

@ end
@ if integer.dot8 or integer.dot16 then
@   local sum = integer.join and "msa_ints" or "int32_t"
/* c plus the products of 16 numbers of 8 bits, or of 16 bits$(integer.join and ", spread over lanes" or ""). */
@   for _, size in ipairs { 8, 16 } do
@     if integer["dot" .. size] then
static inline $(sum) msa_dot$(size)($(sum) c, const int$(size)_t *a, const int$(size)_t *b)
{
@       for statement in (integer["dot" .. size] .. "; "):gmatch "(.-); " do
    $(statement);
@       end
}
@     end
@   end

@ end
/* A number of a row. */
typedef int$(8 * (integer.number or 1))_t msa_number;

/* The scale of a row whose largest magnitude has these bits; the row times *inverse is what is rounded. */
static inline float msa_scale_of(uint32_t top, float *inverse)
{
    *inverse = 0.0f;
    if (top >= 0x7f800000u) {
        return msa_from_bits(0x7fc00000u);
    }
    if (top < 0x2b800000u) {
        return 0.0f;
    }
    const float most = msa_from_bits(top);
    *inverse = 127.0f / most;
    return most / 127.0f;
}

static inline int32_t msa_whole(float rounded) { return (int32_t)(msa_bits(rounded) - msa_bits(MSA_WHOLE)); }

@ if isa.top then
static inline msa_vec msa_vtop(msa_vec t, msa_vec a) { return $(isa.top); }
static inline void msa_store_low8(int8_t *p, msa_vec v) { $(isa.store_low8); }
@   if isa.pair then
/* The low halves of a's and b's lanes as a lane's two numbers of 16 bits. */
static inline msa_vec msa_vpair(msa_vec a, msa_vec b) { return $(isa.pair); }
@   end
static inline void msa_store_low16(int16_t *p, msa_vec v) { $(isa.store_low16); }

@ end
/* The bits of the largest magnitude of `count` floats. */
static inline uint32_t msa_top(const float *x, size_t count)
{
    uint32_t top = 0u;
    size_t k = 0;
@ if isa.top then
    const size_t whole = count / $(4 * isa.width) * $(4 * isa.width);
    msa_vec t0 = msa_splat(0.0f), t1 = t0, t2 = t0, t3 = t0;
    for (; k < whole; k += $(4 * isa.width)) {
@   for v = 0, 3 do
        t$(v) = msa_vtop(t$(v), msa_load(x + k + $(v * isa.width)));
@   end
    }
    float lanes[$(isa.width)];
    msa_store(lanes, msa_vtop(msa_vtop(t0, t1), msa_vtop(t2, t3)));
    for (size_t i = 0; i < $(isa.width); ++i) {
        const uint32_t bits = msa_bits(lanes[i]) & 0x7fffffffu;
        top = bits > top ? bits : top;
    }
@ end
    for (; k < count; ++k) {
        const uint32_t bits = msa_bits(x[k]) & 0x7fffffffu;
        top = bits > top ? bits : top;
    }
    return top;
}

@ local biased = integer.biased and " plus 128" or ""
/* `count` floats of a row whose largest magnitude has these bits as whole numbers$(biased), zeros up to `padded` of
 * them, and behind these the row's scale, which is returned. q may be where x is. */
static inline float msa_quantise_by(uint32_t top, const float *x, int8_t *to, size_t count, size_t padded)
{
    msa_number *const q = (msa_number *)(void *)to;
    float inverse;
    const float scale = msa_scale_of(top, &inverse);
    size_t k = 0;
@ if isa.top then
    const msa_vec by = msa_splat(inverse), round = msa_splat(MSA_STORED);
    for (; k < count / $(isa.width) * $(isa.width); k += $(isa.width)) {
        msa_store_low$(8 * (integer.number or 1))(q + k, msa_vadd(msa_vmul(msa_load(x + k), by), round));
    }
@ end
    for (; k < count; ++k) {
        const float product = inverse == 0.0f ? 0.0f : x[k] * inverse;
        q[k] = (msa_number)msa_whole(product + MSA_STORED);
    }
    for (; k < padded; ++k) {
        q[k] = $(integer.biased and "-128" or "0");
    }
    msa_store_word(q + padded, msa_bits(scale));
    return scale;
}

/* A whole row. */
static inline float msa_quantise(const float *x, int8_t *q, size_t count, size_t padded)
{
    return msa_quantise_by(msa_top(x, count), x, q, count, padded);
}

@ if isa.load_whole then
static inline msa_vec msa_load_whole(const int32_t *p) { return $(isa.load_whole); }
@ elseif not isa.flushes then
static inline msa_vec msa_load_whole(const int32_t *p)
{
    float numbers[$(isa.width)];
    for (size_t i = 0; i < $(isa.width); ++i) {
        numbers[i] = (float)p[i];
    }
    return msa_load(numbers);
}
@ end

#endif

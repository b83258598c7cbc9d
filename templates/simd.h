/* SPDX-License-Identifier: 0BSD */
/* msa_simd.h - the vector operations of $(isa.name), $(isa.width) floats each. $(made_by)
 * Every kernel is written in these; each does to every lane what msa_arith.h says of scalars. */
#ifndef MSA_SIMD_H
#define MSA_SIMD_H

@ local function operation(name, parameters, result)
@   local line = ("static inline msa_vec msa_%s(%s) { return %s; }"):format(name, parameters, result)
@   if #line <= 120 then
$(line)
@   else
static inline msa_vec msa_$(name)($(parameters))
{
$(require("emit.print").wrapped(("    return %s;"):format(result)))
}
@   end
@ end
@ for _, macro in ipairs(isa.macros or {}) do
#ifndef $(macro)
#error "msa: these are vectors of $(isa.name): compile with the flags of the Makefile beside this file: \
$(flags)"
#endif
@ end

#include <stddef.h>
#include <float.h>
@ if isa.flushes then
#include <stdbool.h>
@ end
#include "msa_arith.h"
@ if isa.include then
#include <$(isa.include)>
@ end

typedef $(isa.vector) msa_vec;
@ if isa.prelude then

$(isa.prelude)
@ end

@ operation("load", "const float *p", isa.load)
static inline void msa_store(float *p, msa_vec v) { $(isa.store); }

/* The bits at any address. */
#if defined(__GNUC__)
typedef msa_vec msa_vec_anywhere __attribute__((aligned(1), may_alias));
static inline msa_vec msa_load_bits(const unsigned char *p) { return *(const msa_vec_anywhere *)(const void *)p; }
#else
static inline msa_vec msa_load_bits(const unsigned char *p)
{
    float v[$(isa.width)];
    for (size_t i = 0; i < sizeof v; ++i) {
        ((unsigned char *)v)[i] = p[i];
    }
    return msa_load(v);
}
#endif

@ if isa.load_some then
@ operation("load_some", "const float *p, size_t n", isa.load_some)
static inline void msa_store_some(float *p, msa_vec v, size_t n) { $(isa.store_some); }
@ operation("some", "msa_vec v, size_t n", isa.some)
@ end
@ operation("splat", "float s", isa.splat)
@ operation("vadd", "msa_vec a, msa_vec b", isa.add)
@ operation("vsub", "msa_vec a, msa_vec b", isa.sub)
@ operation("vmul", "msa_vec a, msa_vec b", isa.mul)
@ operation("vdiv", "msa_vec a, msa_vec b", isa.div)
@ operation("vneg", "msa_vec a", "msa_vsub(msa_splat(-0.0f), a)")
@ operation("vfma", "msa_vec a, msa_vec b, msa_vec c", isa.fma)
@ operation("vfnma", "msa_vec a, msa_vec b, msa_vec c", isa.fnma or "msa_vfma(msa_vneg(a), b, c)")
@ if isa.fma_lane then
@   for lane = 0, isa.width - 1 do
@     local multiplied = isa.fma_lane:gsub("%f[%w]lane%f[%W]", lane)
@     operation("vfma_lane" .. lane, "msa_vec a, msa_vec b, msa_vec c", multiplied)
@   end
@ end
@ if isa.fma_scalar then
@ operation("vfma_scalar", "float s, msa_vec b, msa_vec c", isa.fma_scalar)
@ end
@ operation("vmax", "msa_vec a, msa_vec b", isa.max)
@ operation("vabs", "msa_vec a", isa.abs)
@ if isa.select then
@ operation("vselect", "msa_vec x, msa_vec c, msa_vec a, msa_vec b", isa.select)
@ else

/* a where x < c, else b: lane by lane, as the instruction set's file says no other way. */
static inline msa_vec msa_vselect(msa_vec x, msa_vec c, msa_vec a, msa_vec b)
{
    float of_x[$(isa.width)], of_c[$(isa.width)], of_a[$(isa.width)], of_b[$(isa.width)];
    msa_store(of_x, x);
    msa_store(of_c, c);
    msa_store(of_a, a);
    msa_store(of_b, b);
    for (size_t i = 0; i < $(isa.width); ++i) {
        of_a[i] = msa_select(of_x[i], of_c[i], of_a[i], of_b[i]);
    }
    return msa_load(of_a);
}

@ end
@ operation("vmin", "msa_vec a, msa_vec b", isa.min or "msa_vselect(a, b, a, b)")

/* a * 2^n, where t is n as the exponential's rounding left it: an integer in the low bits. */
@ operation("vscale", "msa_vec a, msa_vec t", isa.scale)

/* +0 where x < c, else a. */
@ operation("vzero_below", "msa_vec x, msa_vec c, msa_vec a", isa.zero_below)

/* a = m 2^n, m from sqrt(1/2) to sqrt(2): n, and m; of each lane's 32 bits the halves, as signed whole numbers. */
@ for _, one in ipairs { { "exponent", "msa_exponent(p[i])" }, { "mantissa", "msa_mantissa(p[i])" },
@   { "low16", "(float)(int16_t)(msa_bits(p[i]) & 0xffffu)" },
@   { "high16", "(float)(int16_t)(msa_bits(p[i]) >> 16)" } } do
@   if isa[one[1]] then
@     operation("v" .. one[1], "msa_vec a", isa[one[1]])
@   else
static inline msa_vec msa_v$(one[1])(msa_vec a)
{
    float p[$(isa.width)];
    msa_store(p, a);
    for (size_t i = 0; i < $(isa.width); ++i) {
        p[i] = $(one[2]);
    }
    return msa_load(p);
}

@   end
@ end
@ if isa.gather then
/* p[i], i whole numbers below 2^24. Of a 32-bit number with `bits` bits behind its point, not negative, what is before
 * it, and what is behind, times 2^bits. */
@   operation("gather", "const float *p, msa_vec i", isa.gather)
@   operation("vwhole", "msa_vec a, uint32_t bits", isa.whole)
@   operation("vpart", "msa_vec a, uint32_t bits", isa.part)

@ end
/* Bytes as numbers, and whole parts of v, 0 to 255, as bytes. */
static inline msa_vec msa_load_bytes(const uint8_t *p)
{
@ if isa.load_bytes then
    return $(isa.load_bytes);
@ else
    float numbers[$(isa.width)];
    for (size_t i = 0; i < $(isa.width); ++i) {
        numbers[i] = (float)p[i];
    }
    return msa_load(numbers);
@ end
}

static inline void msa_store_bytes(uint8_t *p, msa_vec v)
{
@ if isa.store_bytes then
@   for statement in (isa.store_bytes .. "; "):gmatch "(.-); " do
    $(statement);
@   end
@ else
    float numbers[$(isa.width)];
    msa_store(numbers, v);
    for (size_t i = 0; i < $(isa.width); ++i) {
        p[i] = (uint8_t)(int32_t)numbers[i];
    }
@ end
}

static inline msa_vec msa_vlog2_near(msa_vec m)
{
    const msa_vec f = msa_vsub(m, msa_splat(1.0f));
    msa_vec p = msa_splat(MSA_LOG2_C8);
@ for n = 7, 0, -1 do
    p = msa_vfma(p, f, msa_splat(MSA_LOG2_C$(n)));
@ end
    return msa_vmul(p, f);
}

@ if isa.zip_low then
/* Lanes of a and b in turn: those of the lower halves, and of the upper ones. */
@ operation("vzip_low", "msa_vec a, msa_vec b", isa.zip_low)
@ operation("vzip_high", "msa_vec a, msa_vec b", isa.zip_high)

@ end
@ if isa.flushes then
/* These vectors take subnormals for zeros, which sets sticky flags of the float unit; scalars do not. So kernels hold
 * their vectors, ask, and where a subnormal was met compute the same in scalar arithmetic. A flag set for nothing costs
 * time and changes no bit. */

/* v, computed before a later msa_flushed() asks, whatever the compiler may move. */
static inline msa_vec msa_hold(msa_vec v) { $(isa.flushes.hold); return v; }

static inline bool msa_flushed(void)
{
    uint32_t flags;
    $(isa.flushes.read);
    return (flags & $(isa.flushes.mask)) != 0u;
}

/* For the end of what is computed again: scalar subnormals set the flags, too. Nothing loaded later is computed with
 * before. */
static inline void msa_clear_flushed(void)
{
    uint32_t flags;
    $(isa.flushes.read);
    flags &= ~$(isa.flushes.mask);
    $(isa.flushes.write);
}

/* The scalar operation in every lane. Volatile: a compiler that saw lanes would make vectors of them again. */
@ local function exact(name, parameters, result)
__attribute__((cold, noinline, unused))
static msa_vec msa_exact_v$(name)(msa_vec a, msa_vec b$(parameters))
{
    float lanes_a[$(isa.width)], lanes_b[$(isa.width)], lanes[$(isa.width)];
    msa_store(lanes_a, a);
    msa_store(lanes_b, b);
    msa_store(lanes, $(parameters == "" and "a" or "c"));
    volatile float *const x = lanes_a, *const y = lanes_b, *const z = lanes;
    for (size_t i = 0; i < $(isa.width); ++i) {
        z[i] = $(result);
    }
    return msa_load(lanes);
}

@ end
/* One lane of a vector, in scalar arithmetic, which flushes nothing. */
@ local function lane(name, parameters, result)
static inline float msa_lane_$(name)($(parameters)) { return $(result); }
@ end
@ lane("load", "const float *p", "*p")
@ lane("splat", "float s", "s")
@ lane("vneg", "float a", "-0.0f - a")
@ lane("vfnma", "float a, float b, float c", "msa_fma(-a, b, c)")
@ for _, one in ipairs { { "vadd", "+" }, { "vsub", "-" }, { "vmul", "*" }, { "vdiv", "/" } } do
@   lane(one[1], "float a, float b", ("a %s b"):format(one[2]))
@ end
static inline void msa_lane_store(float *p, float v) { *p = v; }
static inline float msa_lane_load_bytes(const uint8_t *p) { return (float)*p; }
static inline void msa_lane_store_bytes(uint8_t *p, float v) { *p = (uint8_t)(int32_t)v; }

@ exact("add", "", "x[i] + y[i]")
@ exact("sub", "", "x[i] - y[i]")
@ exact("mul", "", "x[i] * y[i]")
@ exact("fma", ", msa_vec c", "msa_fma(x[i], y[i], z[i])")
@ end
static inline msa_vec msa_vexp(msa_vec x)
{
    const msa_vec t = msa_vfma(x, msa_splat(MSA_EXP_LOG2E), msa_splat(MSA_EXP_ROUND));
    const msa_vec n = msa_vsub(t, msa_splat(MSA_EXP_ROUND));
    msa_vec r = msa_vfma(n, msa_splat(-MSA_EXP_LN2_HIGH), x);
    r = msa_vfma(n, msa_splat(-MSA_EXP_LN2_LOW), r);
    msa_vec p = msa_splat(MSA_EXP_C6);
@ for _, c in ipairs { "MSA_EXP_C5", "MSA_EXP_C4", "MSA_EXP_C3", "MSA_EXP_C2", "1.0f", "1.0f" } do
    p = msa_vfma(p, r, msa_splat($(c)));
@ end
    return msa_vzero_below(x, msa_splat(MSA_EXP_CUT), msa_vscale(p, t));
}

@ local activations = require "graph.activations"
@ for _, name in ipairs(isa.activations or activations.computed) do
@   local entry = activations.entries[name]
/* $(name)(x) = $(entry.formula) */
@   if isa.flushes then
$(entry.steps:scalar(entry.scalar))
@   end
$(entry.steps:vector(entry.vector))
@ end
/* The fixed trees over 16 partial results. */
static inline float msa_sum16(const float *p)
{
    const float a0 = (p[0] + p[8]) + (p[4] + p[12]);
    const float a1 = (p[1] + p[9]) + (p[5] + p[13]);
    const float a2 = (p[2] + p[10]) + (p[6] + p[14]);
    const float a3 = (p[3] + p[11]) + (p[7] + p[15]);
    return (a0 + a2) + (a1 + a3);
}

static inline float msa_max16(const float *p)
{
    const float a0 = msa_max(msa_max(p[0], p[8]), msa_max(p[4], p[12]));
    const float a1 = msa_max(msa_max(p[1], p[9]), msa_max(p[5], p[13]));
    const float a2 = msa_max(msa_max(p[2], p[10]), msa_max(p[6], p[14]));
    const float a3 = msa_max(msa_max(p[3], p[11]), msa_max(p[7], p[15]));
    return msa_max(msa_max(a0, a2), msa_max(a1, a3));
}

#endif

-- SPDX-License-Identifier: Apache-2.0
--- Armv8.1-M Helium (MVE) with floats: 4 floats a vector, 8 registers. It multiplies by a general register, which so
-- takes no vector's place; there is no division, so lanes are divided one by one. Memory is not accessed by the
-- intrinsics, or between barriers: gcc 12 takes what they touch for 4 bytes, and moves accesses of the rest past them.
-- Vectors take subnormals for zeros: FPSCR's input denormal (0x80) and underflow (0x08) say so.
return {
  width = 4,
  registers = 8,
  include = "arm_mve.h",
  macros = { "__ARM_FEATURE_MVE" },
  vector = "float32x4_t",
  prelude = [[
typedef float32x4_t msa_floats __attribute__((aligned(4), may_alias));

static inline float32x4_t msa_load_first(const float *p, size_t n)
{
    __asm__ volatile("" : : : "memory");
    const float32x4_t v = vldrwq_z_f32(p, vctp32q(n));
    __asm__ volatile("" : : : "memory");
    return v;
}

static inline void msa_store_first(float *p, float32x4_t v, size_t n)
{
    __asm__ volatile("" : : : "memory");
    vstrwq_p_f32(p, v, vctp32q(n));
    __asm__ volatile("" : : : "memory");
}]],
  load = "*(const msa_floats *)p",
  store = "*(msa_floats *)p = v",
  load_some = "msa_load_first(p, n)",
  store_some = "msa_store_first(p, v, n)",
  some = "vpselq_f32(v, vdupq_n_f32(0.0f), vctp32q(n))",
  splat = "vdupq_n_f32(s)",
  add = "vaddq_f32(a, b)",
  sub = "vsubq_f32(a, b)",
  mul = "vmulq_f32(a, b)",
  div = "a / b",
  fma = "vfmaq_f32(c, a, b)",
  fnma = "vfmsq_f32(c, a, b)",
  fma_scalar = "vfmaq_n_f32(c, b, s)",
  max = "vpselq_f32(a, b, vcmpgtq_f32(a, b))",
  select = "vpselq_f32(a, b, vcmpgtq_f32(c, x))",
  abs = "vabsq_f32(a)",
  scale = "vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), vshlq_n_u32(vreinterpretq_u32_f32(t), 23)))",
  top = "vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(t), vandq_u32(vreinterpretq_u32_f32(a), "
    .. "vdupq_n_u32(0x7fffffffu))))",
  store_low8 = "__asm__ volatile(\"\" : : : \"memory\"); vstrbq_s32(p, vreinterpretq_s32_f32(v)); "
    .. "__asm__ volatile(\"\" : : : \"memory\")",
  store_low16 = "__asm__ volatile(\"\" : : : \"memory\"); vstrhq_s32(p, vreinterpretq_s32_f32(v)); "
    .. "__asm__ volatile(\"\" : : : \"memory\")",
  turn = "vrev64q_f32(x)",
  zero_below = "vpselq_f32(vdupq_n_f32(0.0f), a, vcmpgtq_f32(c, x))",
  flags = { "-fno-tree-vectorize", "-fno-tree-slp-vectorize" }, -- nobody would ask whether such vectors flushed
  flushes = {
    hold = '__asm__ volatile("" : "+w"(v))',
    read = '__asm__ volatile("vmrs %0, fpscr" : "=r"(flags))',
    write = '__asm__ volatile("vmsr fpscr, %0" : : "r"(flags) : "memory")',
    mask = "0x88u",
  },
}

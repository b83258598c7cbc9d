-- SPDX-License-Identifier: Apache-2.0
--- ARMv7 Advanced SIMD (NEON) with fused multiply-adds (VFPv4): 4 floats a vector, 16 registers. There is no division
-- of vectors: lanes are divided by the scalar unit, as IEEE has it. Vectors take subnormals for zeros: FPSCR's input
-- denormal (0x80) and underflow (0x08) say so.
return {
  width = 4,
  registers = 16,
  include = "arm_neon.h",
  macros = { "__ARM_NEON", "__ARM_FEATURE_FMA" },
  vector = "float32x4_t",
  -- The intrinsic of a comparison becomes four comparisons of scalars in gcc 12.
  prelude = [[
static inline uint32x4_t msa_above(float32x4_t a, float32x4_t b)
{
    uint32x4_t mask;
    __asm__("vcgt.f32 %q0, %q1, %q2" : "=w"(mask) : "w"(a), "w"(b));
    return mask;
}]],
  load = "vld1q_f32(p)",
  store = "vst1q_f32(p, v)",
  splat = "vdupq_n_f32(s)",
  add = "vaddq_f32(a, b)",
  sub = "vsubq_f32(a, b)",
  mul = "vmulq_f32(a, b)",
  div = "(float32x4_t){ a[0] / b[0], a[1] / b[1], a[2] / b[2], a[3] / b[3] }",
  fma = "vfmaq_f32(c, a, b)",
  fnma = "vfmsq_f32(c, a, b)",
  max = "vbslq_f32(msa_above(a, b), a, b)",
  select = "vbslq_f32(msa_above(c, x), a, b)",
  abs = "vabsq_f32(a)",
  zip_low = "vzipq_f32(a, b).val[0]",
  zip_high = "vzipq_f32(a, b).val[1]",
  scale = "vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), vshlq_n_u32(vreinterpretq_u32_f32(t), 23)))",
  top = "vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(t), vandq_u32(vreinterpretq_u32_f32(a), "
    .. "vdupq_n_u32(0x7fffffffu))))",
  store_low8 = "const uint16x4_t n = vmovn_u32(vreinterpretq_u32_f32(v)); "
    .. "vst1_lane_u32((uint32_t *)(void *)p, vreinterpret_u32_u8(vmovn_u16(vcombine_u16(n, n))), 0)",
  store_low16 = "vst1_u16((uint16_t *)(void *)p, vmovn_u32(vreinterpretq_u32_f32(v)))",
  turn = "vrev64q_f32(x)",
  zero_below = "vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a), msa_above(c, x)))",
  flags = { "-fno-tree-vectorize", "-fno-tree-slp-vectorize" }, -- nobody would ask whether such vectors flushed
  flushes = {
    hold = '__asm__ volatile("" : "+w"(v))',
    read = '__asm__ volatile("vmrs %0, fpscr" : "=r"(flags))',
    write = '__asm__ volatile("vmsr fpscr, %0" : : "r"(flags) : "memory")',
    mask = "0x88u",
  },
}

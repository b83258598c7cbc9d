-- SPDX-License-Identifier: Apache-2.0
--- AArch64 Advanced SIMD (NEON): 4 floats a vector, 32 registers.
return {
  width = 4,
  registers = 32,
  include = "arm_neon.h",
  macros = { "__ARM_NEON" },
  vector = "float32x4_t",
  load = "vld1q_f32(p)",
  store = "vst1q_f32(p, v)",
  splat = "vdupq_n_f32(s)",
  add = "vaddq_f32(a, b)",
  sub = "vsubq_f32(a, b)",
  mul = "vmulq_f32(a, b)",
  div = "vdivq_f32(a, b)",
  fma = "vfmaq_f32(c, a, b)",
  fnma = "vfmsq_f32(c, a, b)",
  fma_lane = "vfmaq_laneq_f32(c, b, a, lane)",
  max = "vbslq_f32(vcgtq_f32(a, b), a, b)",
  select = "vbslq_f32(vcltq_f32(x, c), a, b)",
  abs = "vabsq_f32(a)",
  zip_low = "vzip1q_f32(a, b)",
  zip_high = "vzip2q_f32(a, b)",
  scale = "vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), vshlq_n_u32(vreinterpretq_u32_f32(t), 23)))",
  exponent = "vcvtq_f32_s32(vshrq_n_s32(vsubq_s32(vreinterpretq_s32_f32(a), vdupq_n_s32(0x3f3504f3)), 23))",
  mantissa = "vreinterpretq_f32_s32(vaddq_s32(vandq_s32(vsubq_s32(vreinterpretq_s32_f32(a), "
    .. "vdupq_n_s32(0x3f3504f3)), vdupq_n_s32(0x7fffff)), vdupq_n_s32(0x3f3504f3)))",
  low16 = "vcvtq_f32_s32(vshrq_n_s32(vshlq_n_s32(vreinterpretq_s32_f32(a), 16), 16))",
  high16 = "vcvtq_f32_s32(vshrq_n_s32(vreinterpretq_s32_f32(a), 16))",
  store_bytes = "const uint16x4_t n = vmovn_u32(vcvtq_u32_f32(v)); "
    .. "vst1_lane_u32((uint32_t *)(void *)p, vreinterpret_u32_u8(vmovn_u16(vcombine_u16(n, n))), 0)",
  top = "vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(t), vandq_u32(vreinterpretq_u32_f32(a), "
    .. "vdupq_n_u32(0x7fffffffu))))",
  store_low8 = "const uint16x4_t n = vmovn_u32(vreinterpretq_u32_f32(v)); "
    .. "vst1_lane_u32((uint32_t *)(void *)p, vreinterpret_u32_u8(vmovn_u16(vcombine_u16(n, n))), 0)",
  store_low16 = "vst1_u16((uint16_t *)(void *)p, vmovn_u32(vreinterpretq_u32_f32(v)))",
  pair = "vreinterpretq_f32_u32(vsliq_n_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b), 16))",
  load_whole = "vcvtq_f32_s32(vld1q_s32(p))",
  turn = "vrev64q_f32(x)",
  zero_below = "vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a), vcltq_f32(x, c)))",
}

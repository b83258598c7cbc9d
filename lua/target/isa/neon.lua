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
  fma_lane = "vfmaq_laneq_f32(c, b, a, lane)",
  max = "vbslq_f32(vcgtq_f32(a, b), a, b)",
  select = "vbslq_f32(vcltq_f32(x, c), a, b)",
  abs = "vabsq_f32(a)",
  scale = "vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), vshlq_n_u32(vreinterpretq_u32_f32(t), 23)))",
  zero_below = "vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a), vcltq_f32(x, c)))",
}

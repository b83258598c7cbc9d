-- SPDX-License-Identifier: Apache-2.0
--- AArch64's dot products (Armv8.2): four products a lane and instruction, a lane of the rows for all columns. Weights
-- of attention come in two halves of 7 bits, since numbers of 16 bits have no such instruction.
return {
  lanes = 4,
  registers = 32,
  macros = { "__ARM_FEATURE_DOTPROD" },
  vector = "int32x4_t msa_ints",
  word = "vdupq_n_s32(w)",
  load = "vld1q_s32((const int32_t *)(const void *)p)",
  bytes = "vdotq_s32(c, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))",
  bytes_lane = "vdotq_laneq_s32(c, vreinterpretq_s8_s32(b), vreinterpretq_s8_s32(a), lane)",
  float = "vcvtq_f32_s32(c)",
  values = "halves",
  shift7 = "vshlq_n_s32(b, 7)",
  halves = { high = "vreinterpretq_f32_u32(vshrq_n_u32(vreinterpretq_u32_f32(v), 7))",
    low = "vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vdupq_n_u32(127u)))" },
  rate = { bytes = 1, halves = 2 },
}

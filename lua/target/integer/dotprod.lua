-- SPDX-License-Identifier: Apache-2.0
--- AArch64's dot products (Armv8.2): four products a lane and instruction, a lane of the rows for all columns.
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
  rate = { bytes = 1 },
}

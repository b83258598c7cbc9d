-- SPDX-License-Identifier: Apache-2.0
--- ARMv7 Advanced SIMD: as AArch64's without dot products, a half of a vector at a time.
return {
  lanes = 4,
  macros = { "__ARM_NEON" },
  vector = "int32x4_t msa_ints",
  form = "columns",
  values = "columns",
  rows = 2,
  dot8 = "const int8x16_t x = vld1q_s8(a), y = vld1q_s8(b); "
    .. "return vpadalq_s16(c, vmlal_s8(vmull_s8(vget_low_s8(x), vget_low_s8(y)), vget_high_s8(x), vget_high_s8(y)))",
  dot16 = "const int16x8_t x = vld1q_s16(a), y = vld1q_s16(b), z = vld1q_s16(a + 8), w = vld1q_s16(b + 8); "
    .. "c = vmlal_s16(vmlal_s16(c, vget_low_s16(x), vget_low_s16(y)), vget_high_s16(x), vget_high_s16(y)); "
    .. "return vmlal_s16(vmlal_s16(c, vget_low_s16(z), vget_low_s16(w)), vget_high_s16(z), vget_high_s16(w))",
  join = "vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)), vpadd_s32(vget_low_s32(b), "
    .. "vget_high_s32(b)))",
  rate = { columns = 7.5 },
}

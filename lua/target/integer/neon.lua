-- SPDX-License-Identifier: Apache-2.0
--- AArch64 Advanced SIMD without dot products: products of bytes add up in pairs of 16 bits, since none is -128, and
-- these in 32 bits, along columns that lie one behind the other.
return {
  lanes = 4,
  macros = { "__ARM_NEON" },
  vector = "int32x4_t msa_ints",
  form = "columns",
  values = "columns",
  rows = 4,
  dot8 = "const int8x16_t x = vld1q_s8(a), y = vld1q_s8(b); "
    .. "return vpadalq_s16(c, vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(y)), x, y))",
  dot16 = "const int16x8_t x = vld1q_s16(a), y = vld1q_s16(b), z = vld1q_s16(a + 8), w = vld1q_s16(b + 8); "
    .. "return vmlal_high_s16(vmlal_s16(vmlal_high_s16(vmlal_s16(c, vget_low_s16(x), vget_low_s16(y)), x, y), "
    .. "vget_low_s16(z), vget_low_s16(w)), z, w)",
  join = "vpaddq_s32(a, b)",
  rate = { columns = 3.7 },
}

-- SPDX-License-Identifier: Apache-2.0
--- Plain C99: the reference, one float a vector.
return {
  width = 1,
  registers = 16,
  vector = "float",
  load = "*p",
  store = "*p = v",
  splat = "s",
  add = "a + b",
  sub = "a - b",
  mul = "a * b",
  div = "a / b",
  fma = "msa_fma(a, b, c)",
  fnma = "msa_fma(-a, b, c)",
  max = "msa_max(a, b)",
  min = "msa_min(a, b)",
  select = "msa_select(x, c, a, b)",
  abs = "msa_from_bits(msa_bits(a) & 0x7fffffffu)",
  scale = "msa_from_bits(msa_bits(a) + (msa_bits(t) << 23))",
  zero_below = "x < c ? 0.0f : a",
}

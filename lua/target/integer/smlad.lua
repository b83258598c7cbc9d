-- SPDX-License-Identifier: Apache-2.0
--- The DSP instructions of Armv7E-M: two products of 16 bits a word are added to a sum.
return {
  lanes = 1,
  macros = { "__ARM_FEATURE_DSP" },
  include = "arm_acle.h",
  form = "columns",
  values = "columns",
  number = 2,
  rows = 2,
  dot16 = "const int16x2_t *const x = (const void *)a, *const y = (const void *)b; "
    .. "c = __smlad(x[0], y[0], c); c = __smlad(x[1], y[1], c); c = __smlad(x[2], y[2], c); "
    .. "c = __smlad(x[3], y[3], c); c = __smlad(x[4], y[4], c); c = __smlad(x[5], y[5], c); "
    .. "c = __smlad(x[6], y[6], c); return __smlad(x[7], y[7], c)",
  rate = { columns = 13 },
}

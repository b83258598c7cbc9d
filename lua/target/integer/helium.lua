-- SPDX-License-Identifier: Apache-2.0
--- Helium (MVE): a sum of all products of two vectors is added to a general register; so columns lie one behind the
-- other.
return {
  lanes = 1,
  macros = { "__ARM_FEATURE_MVE" },
  include = "arm_mve.h",
  form = "columns",
  values = "columns",
  rows = 3,
  dot8 = "return vmladavaq_s8(c, vldrbq_s8(a), vldrbq_s8(b))",
  dot16 = "c = vmladavaq_s16(c, vldrhq_s16(a), vldrhq_s16(b)); "
    .. "return vmladavaq_s16(c, vldrhq_s16(a + 8), vldrhq_s16(b + 8))",
  rate = { columns = 3.6 },
}

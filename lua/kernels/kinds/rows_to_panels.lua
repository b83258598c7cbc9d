-- SPDX-License-Identifier: Apache-2.0
--- Rows as the columns of panels: keys as a product's matrix b. Request: rows of d; ldx. @return the kernel f(x, z): z
-- [panel][d][16], zeros beyond the rows
local requests = require "kernels.requests"

return { request = requests.sizes("rows", "d", "ldx"), fresh = true,
  make = function(K, f)
    return K:make("rows_to_panels", "msa_rows_to_panels_f32", { rows = f.rows, d = f.d, ldx = f.ldx },
      { { "rows", "rows" }, { "d", "d" }, { "ldx", "ldx" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.d, 4, 1, 1), 0 end }

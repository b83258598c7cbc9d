-- SPDX-License-Identifier: Apache-2.0
--- The largest magnitudes of rows whose columns come some at a time (docs/arithmetic.md, int8-dyn-1). Request: rows of
-- C; ldx. @return the kernel f(x, tops), tops being 0 at first
local requests = require "kernels.requests"

return { request = requests.sizes("rows", "C", "ldx"),
  make = function(K, f)
    K:integer()
    return K:make("tops_int8", "msa_tops_int8", { rows = f.rows, C = f.C, ldx = f.ldx },
      { { "rows", "rows" }, { "C", "C" }, { "ldx", "ldx" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, 2, 1, 0) + f.rows * core.ROW // 4, 0 end }

-- SPDX-License-Identifier: Apache-2.0
--- A matrix transposed. Request: rows of C; ldx; ldz, at least the rows rounded up to 16. @return the kernel f(x, z): z
-- has C rows, which end in +0
local requests = require "kernels.requests"

return { request = requests.sizes("rows", "C", "ldx", "ldz"), fresh = true,
  make = function(K, f)
    assert(f.ldz >= K.round16(f.rows), "transpose_rows: ldz")
    return K:make("transpose_rows", "msa_transpose_rows_f32", { rows = f.rows, C = f.C, ldx = f.ldx, ldz = f.ldz },
      { { "rows", "rows" }, { "columns", "C" }, { "ldx", "ldx" }, { "ldz", "ldz" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, 4, 1, 1), 0 end }

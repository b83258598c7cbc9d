-- SPDX-License-Identifier: Apache-2.0
--- The sum of a line of a map, of its rows together, or of the squares of their distances from a mean. Request: rows of
-- C, ldx apart; squares. @return the kernel f(x, sum), or f(x, mean, sum) of squares
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("rows", "C", "ldx"), { squares = schema.flag }), fresh = true,
  make = function(K, f)
    return K:make("line_sum", ("msa_line_%s_f32_%d"):format(f.squares and "squares" or "sum", f.C), { rows = f.rows,
      C = f.C, ldx = f.ldx, squares = f.squares or false }, { { "rows", "rows" }, { "ldx", "ldx" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, f.squares and 2 or 1, 1, 0) + core.ROW, 0 end }

-- SPDX-License-Identifier: Apache-2.0
--- Rows in bf16, as products read them (docs/arithmetic.md, bf16-1). Request: rows of C; ldx, ldy.
-- Where an instruction multiplies pairs a row is C / 2 words of two numbers, else it is floats, of each two neighbours
-- the second one first: then a chain in order is the one that bf16-1 defines.
-- @return the kernel f(x, y), which may work in place
local requests = require "kernels.requests"

return { request = requests.request(requests.sizes("rows", "C", "ldx", "ldy"), {}),
  make = function(K, f)
    return K:make("round_rows", "msa_round_rows", { rows = f.rows, C = f.C, ldx = f.ldx, ldy = f.ldy,
      paired = K:dot_bf16() ~= nil }, { { "rows", "rows" }, { "C", "C" }, { "ldx", "ldx" }, { "ldy", "ldy" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, 7, 1, 1) + f.rows * core.ROW // 4, 0 end }

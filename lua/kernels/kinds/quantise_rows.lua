-- SPDX-License-Identifier: Apache-2.0
--- Rows as whole numbers of 8 bits, each with its scale behind it (docs/arithmetic.md, int8-dyn-1). Request: rows of C;
-- ldx; ldq, bytes; s, what scales are multiplied by; tops: x are some columns of rows whose largest magnitudes are
-- given.
-- @return the kernel f(x, [tops,] q), which may work in place
local integers = require "kernels.integers"
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("rows", "C", "ldx", "ldq"), { s = schema.number,
    tops = schema.flag }),
  make = function(K, f)
    K:integer()
    local scaled = f.s ~= nil
    local numbers = { { "rows", "rows" }, { "C", "C" }, { "ldx", "ldx" }, { "ldq", "ldq" }, { "padded", "padded" } }
    if scaled then numbers[6] = { "s", "s" } end
    local base = "msa_quantise_rows" .. (scaled and "_scaled" or f.tops and "_by_tops" or "")
    return K:make("quantise_rows", base, { tops = f.tops or false, rows = f.rows,
      C = f.C, ldx = f.ldx, ldq = f.ldq, padded = integers.padded(f.C), scaled = scaled,
      s = scaled and K.literal(f.s) or nil }, numbers)
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, 5, 2, 1) + f.rows * core.ROW // 2, 0 end }

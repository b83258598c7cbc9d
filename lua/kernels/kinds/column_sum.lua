-- SPDX-License-Identifier: Apache-2.0
--- Sums of columns, of a block of at most 64 rows. Request: rows of C; ldx. @return the kernel f(x, acc, block): acc, C
-- floats rounded up to 16, is the block's where that is 0, else the block's is added
local requests = require "kernels.requests"
local schema = require "support.schema"

local request = requests.sizes("rows", "C", "ldx")
request.rows = { schema.whole(1, 64), true }

return { request = request, lanes = true,
  make = function(K, f)
    return K:make("column_sum", ("msa_column_sum_f32_%d"):format(f.C), { rows = f.rows, C = f.C, ldx = f.ldx },
      { { "rows", "rows" }, { "ldx", "ldx" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, 1, 1, 0), 0 end }

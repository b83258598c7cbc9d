-- SPDX-License-Identifier: Apache-2.0
--- The gradient of a layer norm by gamma, of a block of at most 64 rows. Request: rows of C; ldx, ldy (of dy); eps.
-- @return the kernel f(dy, x, acc, block): acc, C floats rounded up to 16, is the block's where that is 0, else the
-- block's is added
local requests = require "kernels.requests"
local schema = require "support.schema"

local request = requests.sizes("rows", "C", "ldx", "ldy")
request.rows, request.eps = { schema.whole(1, 64), true }, { schema.number, true }

return { request = request, lanes = true,
  make = function(K, f)
    return K:make("layernorm_dgamma", ("msa_layernorm_dgamma_f32_%d"):format(f.C), { rows = f.rows, C = f.C,
      ldx = f.ldx, ldy = f.ldy, eps = K.literal(f.eps) }, { { "rows", "rows" }, { "ldx", "ldx" }, { "ldy", "ldy" },
      { "eps", "eps" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, core.NORM + 1, 4, 0) + f.rows * core.ROW, 0 end }

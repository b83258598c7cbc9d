-- SPDX-License-Identifier: Apache-2.0
--- Layer norm of rows. Request: rows of C; ldx, ldy; eps. @return the kernel f(x, gamma_beta, y); beta lies C rounded
-- up to 16 behind gamma
local requests = require "kernels.requests"
local schema = require "support.schema"

local request = requests.sizes("rows", "C", "ldx", "ldy")
request.eps = { schema.number, true }

return { request = request, fresh = true,
  make = function(K, f)
    return K:make("layernorm", ("msa_layernorm_f32_%d"):format(f.C), { rows = f.rows, C = f.C, ldx = f.ldx,
      ldy = f.ldy, gap = K.round16(f.C), eps = K.literal(f.eps) },
      { { "rows", "rows" }, { "ldx", "ldx" }, { "ldy", "ldy" }, { "eps", "eps" } })
  end,
  cycles = function(core, f)
    return 0, core:vectors(f.rows * f.gap, core.NORM, 3, 1) + f.rows * core.ROW, 0
  end }

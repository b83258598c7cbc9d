-- SPDX-License-Identifier: Apache-2.0
--- The gradient of a layer norm by its input. Request: rows of C; ldx, ldy (of dy), ldz; eps.
-- @return the kernel f(dy, x, gamma, z); z may be dy or x
local requests = require "kernels.requests"
local schema = require "support.schema"

local request = requests.sizes("rows", "C", "ldx", "ldy", "ldz")
request.eps = { schema.number, true }

return { request = request, fresh = true, lanes = true,
  make = function(K, f)
    return K:make("layernorm_dx", ("msa_layernorm_dx_f32_%d"):format(f.C), { rows = f.rows, C = f.C, ldx = f.ldx,
      ldy = f.ldy, ldz = f.ldz, eps = K.literal(f.eps) }, { { "rows", "rows" }, { "ldx", "ldx" }, { "ldy", "ldy" },
      { "ldz", "ldz" }, { "eps", "eps" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.C, core.NORM + 8, 8, 1) + 2 * f.rows * core.ROW, 0 end }

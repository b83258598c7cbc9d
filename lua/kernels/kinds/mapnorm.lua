-- SPDX-License-Identifier: Apache-2.0
--- Rows of a map: (x - mean) deviation gamma + beta, the deviation being 1 / what it is. Request: rows of C; ldx, ldy.
-- @return the kernel f(x, gamma_beta, mean, deviation, y); beta lies C rounded up to 16 behind gamma
local requests = require "kernels.requests"

return { request = requests.sizes("rows", "C", "ldx", "ldy"), fresh = true,
  make = function(K, f)
    local width = K.round16(f.C)
    return K:make("mapnorm", ("msa_mapnorm_f32_%d"):format(width), { rows = f.rows, width = width, ldx = f.ldx,
      ldy = f.ldy }, { { "rows", "rows" }, { "ldx", "ldx" }, { "ldy", "ldy" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.rows * f.width, 3, 3, 1), 0 end }

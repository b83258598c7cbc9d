-- SPDX-License-Identifier: Apache-2.0
--- A product's matrix b (K, N) in panels of 16 columns, transposed into panels. Request: N, K. @return the kernel f(w,
-- z, first, last), which writes panels first to last - 1 of z: K / 16 of them, rounded up, N rows each
local requests = require "kernels.requests"

return { request = requests.sizes("N", "K"), fresh = true,
  make = function(K, f)
    return K:make("transpose_panels", "msa_transpose_panels_f32", { N = f.N, K = f.K }, { { "N", "N" }, { "K", "K" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.N * f.K, 4, 1, 1), 0 end }

-- SPDX-License-Identifier: Apache-2.0
--- Sums of logits' gradients along the lines and down the columns of a window. Request: M queries; side_h, side_w of
-- the window; lds; ldr, of drh and drw. @return the kernel f(ds, drh, drw)
local requests = require "kernels.requests"

return { request = requests.sizes("M", "side_h", "side_w", "lds", "ldr"), fresh = true, lanes = true,
  make = function(K, f)
    assert(f.lds >= (f.side_h - 1) * f.side_w + K.round16(f.side_w), "relative_sums: lds")
    return K:make("relative_sums", "msa_relative_sums_f32", { M = f.M, lines = f.side_h, columns = f.side_w,
      lds = f.lds, ldr = f.ldr }, { { "queries", "M" }, { "lines", "lines" }, { "columns", "columns" },
      { "lds", "lds" }, { "ldr", "ldr" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.M * f.lines * f.columns, 6, 4, 2), 0 end }

-- SPDX-License-Identifier: Apache-2.0
--- Logits of a whole window begin as the sums of their relative positions. Request: M queries; side_h, side_w of the
-- window; ldr, of rh and rw; lds. @return the kernel f(rh, rw, s)
local requests = require "kernels.requests"

return { request = requests.sizes("M", "side_h", "side_w", "ldr", "lds"), fresh = true, lanes = true,
  make = function(K, f)
    assert(f.lds >= (f.side_h - 1) * f.side_w + K.round16(f.side_w), "relative_fill: lds")
    return K:make("relative_fill", "msa_relative_fill_f32", { M = f.M, lines = f.side_h, columns = f.side_w,
      ldr = f.ldr, lds = f.lds }, { { "queries", "M" }, { "lines", "lines" }, { "columns", "columns" },
      { "ldr", "ldr" }, { "lds", "lds" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.M * f.lines * f.columns, 1, 1, 1), 0 end }

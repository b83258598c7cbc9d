-- SPDX-License-Identifier: Apache-2.0
--- Gradients by tables of relative positions, of one head: chains that go on from what is there. Request: rows of width
-- queries; side_h, side_w of the window; d; ldr, of drh and drw; ldq. @return the kernel f(q, drh, drw, acc_h, acc_w,
-- first), first being the first query's row of the window; acc_h and acc_w have 2 side - 1 rows of d floats rounded up
-- to 16
local requests = require "kernels.requests"

return { request = requests.sizes("rows", "width", "side_h", "side_w", "d", "ldr", "ldq"), lanes = true,
  make = function(K, f)
    local dpad = K.round16(f.d)
    return K:make("relative_drel", "msa_relative_drel_f32_" .. dpad, { rows = f.rows, width = f.width,
      lines = f.side_h, columns = f.side_w, dpad = dpad, ldr = f.ldr, ldq = f.ldq }, { { "rows", "rows" },
      { "width", "width" }, { "lines", "lines" }, { "columns", "columns" }, { "ldr", "ldr" }, { "ldq", "ldq" } })
  end,
  cycles = function(core, f)
    local macs = f.rows * f.width * (f.lines + f.columns) * f.dpad
    return core:vectors(macs, 1, 1, 0), 0, macs
  end }

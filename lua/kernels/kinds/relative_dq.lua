-- SPDX-License-Identifier: Apache-2.0
--- Gradients by queries go on with what relative positions give: z += drh table_h, then += drw table_w. Request: rows
-- of width queries; side_h, side_w of the window; d; ldr, of drh and drw; ldz. Tables have 2 side - 1 rows, in reversed
-- order, of d floats rounded up to 16. @return the kernel f(drh, drw, th, tw, z, first), first being the first query's
-- row of the window
local requests = require "kernels.requests"

return { request = requests.sizes("rows", "width", "side_h", "side_w", "d", "ldr", "ldz"),
  make = function(K, f)
    return K:make("relative_dq", ("msa_relative_dq_f32_%dx%d_of_%dx%d_by_%d"):format(f.rows, f.width, f.side_h,
      f.side_w, f.d), { rows = f.rows, width = f.width, lines = f.side_h, columns = f.side_w, d = f.d, ldr = f.ldr,
      ldz = f.ldz })
  end,
  cycles = function(core, f)
    return f.rows * core:product(f.width, f.d, f.lines) + f.width * core:product(f.rows, f.d, f.columns), 0,
      f.rows * f.width * f.d * (f.lines + f.columns)
  end }

-- SPDX-License-Identifier: Apache-2.0
--- A depthwise 3 x 3 convolution of a row of pixels. Request: columns, C; ldx, ldy; across, floats from a row of pixels
-- of x to the next. @return the kernel f(x, w, bias, y): x the pixel above and left of the first one
local schema = require "support.schema"

local size = { schema.whole(1, math.maxinteger), true }

return { request = { columns = size, C = size, ldx = size, ldy = size, across = size }, fresh = true,
  make = function(K, f)
    return K:make("depthwise", ("msa_depthwise_f32_%d"):format(f.C), { columns = f.columns,
      width = K.round16(f.C), ldx = f.ldx, ldy = f.ldy, across = f.across }, { { "columns", "columns" },
      { "across", "across" }, { "ldx", "ldx" }, { "ldy", "ldy" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.columns * f.width, 10, 19, 1), 9 * f.columns * f.width end }

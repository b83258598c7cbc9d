-- SPDX-License-Identifier: Apache-2.0
--- A depthwise convolution of a row of pixels. Request: columns, C; side of the window, stride of its places; ldx, ldy;
-- across, elements from a row of pixels of x to the next. @return the kernel f(x, w, bias, y): x the pixel above and
-- left of the first place
local schema = require "support.schema"

local size = { schema.whole(1, math.maxinteger), true }

return { request = { columns = size, C = size, side = size, stride = size, ldx = size, ldy = size, across = size },
  fresh = true,
  make = function(K, f)
    return K:make("depthwise_conv", ("msa_depthwise_conv_f32_%dx%dx%d"):format(f.side, f.side, f.C),
      { columns = f.columns, width = K.round16(f.C), side = f.side, stride = f.stride, ldx = f.ldx, ldy = f.ldy,
        across = f.across }, { { "columns", "columns" }, { "across", "across" }, { "stride", "stride" },
        { "ldx", "ldx" }, { "ldy", "ldy" } })
  end,
  cycles = function(core, f)
    local taps = f.side * f.side
    return 0, core:vectors(f.columns * f.width, taps + 1, 2 * taps + 1, 1), taps * f.columns * f.width
  end }

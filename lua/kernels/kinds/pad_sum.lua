-- SPDX-License-Identifier: Apache-2.0
--- The sum of the rows of a set that are padding, added to what is there. Request: height, width of the set's part of
-- the grid; side_h, side_w of the set; d; ldz, d rounded up to 16 unless given. @return the kernel f(z, acc)
local requests = require "kernels.requests"

return { request = requests.request(requests.sizes("height", "width", "side_h", "side_w", "d"),
    { ldz = requests.size }), lanes = true,
  make = function(K, f)
    local dpad = K.round16(f.d)
    return K:make("pad_sum", "msa_pad_sum_f32_" .. dpad, { dpad = dpad, height = f.height, width = f.width,
      lines = f.side_h, columns = f.side_w, ldz = f.ldz or dpad }, { { "height", "height" }, { "width", "width" },
      { "lines", "lines" }, { "columns", "columns" }, { "ldz", "ldz" } })
  end,
  cycles = function(core, f)
    return 0, core:vectors((f.lines * f.columns - f.height * f.width) * f.dpad, 1, 1, 0), 0
  end }

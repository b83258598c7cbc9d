-- SPDX-License-Identifier: Apache-2.0
--- Rows of a set for one head go to where tokens lie. Request: height, width of the set's part of the grid; d; ldx,
-- between places; ld_row, between rows of the grid; ldz, d rounded up to 16 unless given; side_w: places of a row of
-- the set, width unless given. @return the kernel f(z, x), which writes d columns of the places in the grid
local requests = require "kernels.requests"

local size, stride = requests.size, requests.stride

return { request = requests.request(requests.sizes("height", "width", "d"), { ldx = stride, ld_row = stride,
    ldz = size, side_w = size }), fresh = true,
  make = function(K, f)
    return K:make("set_rows_back", "msa_set_rows_back_f32_" .. f.d, { height = f.height, width = f.width, d = f.d,
      columns = f.side_w or f.width, ldx = f.ldx, ld_row = f.ld_row, ldz = f.ldz or K.round16(f.d) },
      { { "height", "height" }, { "width", "width" }, { "columns", "columns" }, { "ldx", "ldx" },
      { "ld_row", "ld_row" }, { "ldz", "ldz" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.height * f.width * f.d, 1, 1, 1), 0 end }

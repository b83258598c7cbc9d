-- SPDX-License-Identifier: Apache-2.0
--- The rows of a set (a window, a grid, or all rows) for one head, taken from where tokens lie. Request: height, width
-- of the set's part of the grid; d; ldx, between places; ld_row, between rows of the grid; ldz, d rounded up to 16
-- unless given; side_h, side_w: the whole window, whose places beyond the grid are a row for all of them; s: times s;
-- both: as they are, and times s.
-- @return the kernel f(x, [pad,] z [, zs])
local requests = require "kernels.requests"
local schema = require "support.schema"

local size, stride = requests.size, requests.stride

return { request = requests.request(requests.sizes("height", "width", "d"), { ldx = stride, ld_row = stride,
    ldz = size, side_h = size, side_w = size, s = schema.number, both = schema.flag }), fresh = true, lanes = true,
  make = function(K, f)
    local padding, scaled = f.side_h and true or false, f.s and true or false
    local numbers = { { "height", "height" }, { "width", "width" }, { "ldx", "ldx" }, { "ld_row", "ld_row" },
      { "ldz", "ldz" } }
    local fields = { height = f.height, width = f.width, d = f.d, ldx = f.ldx, ld_row = f.ld_row,
      ldz = f.ldz or K.round16(f.d), padding = padding, scaled = scaled, both = f.both or false }
    if padding then
      fields.lines, fields.columns = f.side_h, f.side_w
      numbers[6], numbers[7] = { "lines", "lines" }, { "columns", "columns" }
    end
    if scaled then
      fields.s = K.literal(f.s)
      numbers[#numbers + 1] = { "s", "s" }
    end
    return K:make("set_rows", ("msa_set_rows_f32_%d%s%s"):format(f.d, padding and "_padded" or "",
      f.both and "_both" or scaled and "_scaled" or ""), fields, numbers)
  end,
  cycles = function(core, f)
    local stores = f.both and 2 or 1
    return 0, core:vectors((f.lines or f.height) * (f.columns or f.width) * f.d, 1, 1, stores), 0
  end }

-- SPDX-License-Identifier: Apache-2.0
--- Attention of M queries over packed keys, all of whole numbers (docs/arithmetic.md, int8-dyn-1). Request: as of
-- `attend`, ldq in bytes; ldb: logits start from given values, rows ldb apart. Queries' scales are scaled.
-- @return the kernel, scratch sizes { s, o, stat } in floats
local integer_tiles = require "kernels.integer_tiles"
local integers = require "kernels.integers"
local requests = require "kernels.requests"
local schema = require "support.schema"

local table_of_rows = schema.record(requests.sizes("n", "ld"))

return { request = requests.request(requests.sizes("M", "keys", "d", "ldq", "ldo"), { row = requests.size,
    rel = table_of_rows, out_row = table_of_rows, ldb = requests.size,
    pad = schema.record(requests.sizes("side", "height", "width")) }), fresh = true,
  make = function(K, f)
    local tile, dpad = K.key_tile(f.keys, f.row), K.round16(f.d)
    local padded, integer = K.round16(tile), K:integer()
    local pads = f.pad and f.pad.side * f.pad.side - f.keys or 0
    local lds = K.stride(math.max(padded, K.round16(pads)) + ((f.rel or f.ldb or pads > 0) and 16 or 0))
    local kernel = K:make("attend_int8", ("msa_attend_int8_%dx%dx%d"):format(f.M, f.keys, f.d), { M = f.M,
      keys = f.keys, d = f.d, dpad = dpad, tile = tile, lds = lds, ldp = 2 * lds, ldq = f.ldq, ldo = f.ldo,
      ldb = f.ldb or false, rel = f.rel or false, out_row = f.out_row or false, pad = pads > 0 and f.pad or false,
      k_bytes = integers.panels(f.d, tile, integers.form(integer, "weights"), integers.number(integer)),
      v_bytes = integers.panels(tile, dpad, integers.form(integer, "values"), integers.number(integer, "values")),
      at = integers.at(integer, f.d), stored = integers.stored(f.d) })
    return kernel, { s = f.M * lds, o = f.M * dpad, stat = K.round16(4 * f.M) }
  end,
  cycles = function(core, f)
    local count = (f.keys + f.tile - 1) // f.tile
    local other = core:vectors(f.M * ((f.keys + 15) // 16 * 16), core.EXP + 4, 2, 1) + f.M * count * core.ROW
    if f.rel or f.ldb then other = other + core:vectors(f.M * f.keys, 1, 1, 1) end
    local K, tiling = core.build.kernels, integer_tiles.tiling
    local integer = K:integer()
    return tiling(K, f.M, f.keys, f.d, integers.form(integer, "weights")).cycles
      + tiling(K, f.M, f.d, f.keys, integers.form(integer, "values")).cycles, other,
      2 * f.M * f.keys * f.d
  end }

-- SPDX-License-Identifier: Apache-2.0
--- Attention of M queries over packed keys. Request: M, keys, d, ldq, ldo; out_row {n, ld}: results lie n in a row,
-- rows ld apart; row: keys of a grid's row; rel {n = columns of the keys' grid, ld}; counted: a count is given at run
-- time; pad {side, height, width}: the keys are the height x width corner of a side x side window whose rest is
-- padding; precision "bf16": queries as lua/kernels/kinds/round_rows.lua has them, keys and values as
-- lua/kernels/kinds/keys_bf16.lua.
-- @return the kernel, scratch sizes {s, o, stat} in floats
local requests = require "kernels.requests"
local schema = require "support.schema"

local table_of_rows = schema.record(requests.sizes("n", "ld"))

return { request = requests.request(requests.sizes("M", "keys", "d", "ldq", "ldo"), { row = requests.size,
    rel = table_of_rows, out_row = table_of_rows, counted = schema.flag, precision = schema.one_of "bf16",
    pad = schema.record(requests.sizes("side", "height", "width")) }), fresh = true,
  make = function(K, f)
    local tile_keys, dpad = K.key_tile(f.keys, f.row), K.round16(f.d)
    local padded = K.round16(tile_keys)
    local pads = f.pad and f.pad.side * f.pad.side - f.keys or 0
    local lds = K.stride(math.max(padded, K.round16(pads)) + ((f.rel or pads > 0) and 16 or 0))
    local lowered = K:attention_operands(f.precision, f.d, tile_keys)
    local kernel = K:make("attend", ("msa_attend_%s_%dx%dx%d"):format(f.precision or "f32", f.M, f.keys, f.d), {
      precision = f.precision or false, steps = lowered.steps, tile_rows = lowered.rows, paired = lowered.paired,
      M = f.M, keys = f.keys, d = f.d, dpad = dpad, tile = tile_keys, padded_tile = padded, lds = lds, ldq = f.ldq,
      ldo = f.ldo,
      rel = f.rel or false, out_row = f.out_row or false, counted = f.counted or false, pad = pads > 0 and f.pad
      or false })
    return kernel, { s = f.M * lds, o = f.M * dpad, stat = K.round16(4 * f.M) }
  end,
  -- Both products, the softmax a tile of keys at a time, and the sums' way to the next tile.
  cycles = function(core, f)
    local count = (f.keys + f.tile - 1) // f.tile
    local other = core:vectors(f.M * ((f.keys + 15) // 16 * 16), core.EXP, 2, 1) + f.M * count * core.ROW
      + core:elementwise(f.M * count, f.d, 1)
    if f.rel then other = other + core:vectors(f.M * f.keys, 1, 1, 1) end
    return core:product(f.M, f.keys, f.d) + core:product(f.M, f.d, f.keys), other, 2 * f.M * f.keys * f.d
  end }

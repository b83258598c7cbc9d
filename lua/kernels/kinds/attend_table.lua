-- SPDX-License-Identifier: Apache-2.0
--- Attention of all places of a window among themselves, of one head, with logits that start from given values.
-- Request: keys, d; row, keys of a row of the window; ldb of the values; ldq, ldo; precision as of
-- lua/kernels/kinds/attend.lua.
-- @return the kernel f(q, kp, vp, bias, s, o, stat, out), scratch sizes { s, o, stat } in floats
local schema = require "support.schema"

local size = { schema.whole(1, math.maxinteger), true }

return { request = { keys = size, d = size, row = size, ldb = size, ldq = size, ldo = size,
    precision = { schema.one_of "bf16" } },
  make = function(K, f)
    local tile = K.key_tile(f.keys, f.row)
    local dpad, padded = K.round16(f.d), K.round16(tile)
    local lds = K.stride(padded + 16)
    local lowered = K:attention_operands(f.precision, f.d, tile)
    return K:make("attend_table", ("msa_attend_table_%s_%dx%d"):format(f.precision or "f32", f.keys, f.d), {
      precision = f.precision or false, steps = lowered.steps, tile_rows = lowered.rows, keys = f.keys, d = f.d,
      dpad = dpad, tile = tile, padded_tile = padded, lds = lds, ldb = f.ldb, ldq = f.ldq, ldo = f.ldo }),
      { s = f.keys * lds, o = f.keys * dpad, stat = K.round16(3 * f.keys) }
  end,
  cycles = function(core, f)
    return core:product(f.keys, f.keys, f.d) + core:product(f.keys, f.d, f.keys),
      core:vectors(f.keys * f.keys, 17, 3, 2), 2 * f.keys * f.keys * f.d
  end }

-- SPDX-License-Identifier: Apache-2.0
--- Values of one head as whole numbers of 8 bits, packed as attention reads them: rows of d rounded up to 16. Request:
-- keys, d; row, keys of a grid's row. @return the kernel f(v, vp), bytes of all, tile_bytes
local integers = require "kernels.integers"
local requests = require "kernels.requests"

return { request = requests.request(requests.sizes("keys", "d"), { row = requests.size }), fresh = true,
  make = function(K, f)
    local tile, dpad, W = K.key_tile(f.keys, f.row), K.round16(f.d), K.isa.width
    local integer, rest = K:integer(), f.keys % tile
    local form, number = integers.form(integer, "values"), integers.number(integer, "values")
    local tile_bytes = integers.panels(tile, dpad, form, number)
    local vectors = K.isa.top ~= nil and not K.isa.flushes
    return K:make("values_int8", ("msa_values_int8_%d"):format(dpad), { keys = f.keys, d = f.d,
      dpad = dpad, form = form, tile = tile, tile_bytes = tile_bytes, vectors = vectors, per = 16 // W },
      { { "keys", "keys" }, { "tile", "tile" }, { "tile_bytes", "tile_bytes" }, { false, "d" } }),
      f.keys // tile * tile_bytes + (rest > 0 and integers.panels(rest, dpad, form, number) or 0), tile_bytes
  end,
  cycles = function(core, f) return 0, core:vectors(f.keys * f.dpad, 5, 2, 1), 0 end }

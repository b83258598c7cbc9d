-- SPDX-License-Identifier: Apache-2.0
--- Keys of one head as whole numbers of 8 bits, packed as attention reads them. Request: keys, d; row, keys of a grid's
-- row. @return { bytes = of all, tile = keys of a tile, tile_bytes; place { count, k_stride }, which gives the kernel
-- f(first, k, kp) that places `count` keys }
local integers = require "kernels.integers"
local requests = require "kernels.requests"

return { request = requests.request(requests.sizes("keys", "d"), { row = requests.size }), fresh = true,
  make = function(K, f)
    local integer, tile, rest = K:integer(), K.key_tile(f.keys, f.row), f.keys % K.key_tile(f.keys, f.row)
    local form, number = integers.form(integer, "weights"), integers.number(integer)
    local tile_bytes = integers.panels(f.d, tile, form, number)
    local bytes = f.keys // tile * tile_bytes + (rest > 0 and integers.panels(f.d, rest, form, number) or 0)
    return { bytes = bytes, tile = tile, tile_bytes = tile_bytes, place = function(p)
      return K:make("keys_int8", ("msa_keys_int8_%d"):format(f.d), { keys = f.keys, d = f.d,
        steps = integers.steps(f.d, form), form = form, number = number, panel = integers.panel(f.d, form, number),
        padded = integers.padded(f.d), tile = tile, count = p.count,
        k_stride = p.k_stride, tile_bytes = tile_bytes },
        { { "count", "count" }, { "keys", "keys" }, { "tile", "tile" }, { "k_stride", "k_stride" },
        { "tile_bytes", "tile_bytes" } })
    end }
  end,
  cycles = function(core, f)
    return 0, core:vectors(f.count * f.d, 5, 2, 1) + f.count * (core.ROW // 2 + f.d // 2), 0
  end }

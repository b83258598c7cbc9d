-- SPDX-License-Identifier: Apache-2.0
--- Keys and values of one head in bf16, packed as attention reads them: as lua/kernels/kinds/keys.lua has floats, but
-- for what follows each other along a sum, numbers of a key and keys of a column, which are pairs where an instruction
-- multiplies pairs, and else neighbours turned. Request: keys, d; row, keys of a grid's row.
-- @return { k, v } sizes in floats; place { count, k_stride, v_stride }, which gives the kernel f(first, k, v, kp, vp)
-- that places `count` keys, from the first one on
local requests = require "kernels.requests"

return { request = requests.request(requests.sizes("keys", "d"), { row = requests.size }), fresh = true,
  make = function(K, f)
    local tile, dpad, paired = K.key_tile(f.keys, f.row), K.round16(f.d), K:dot_bf16() ~= nil
    local count, steps = (f.keys + tile - 1) // tile, paired and (f.d + 1) // 2 or f.d
    return { k = count * K.round16(tile) * steps, v = count * (paired and (tile + 1) // 2 or tile) * dpad,
      place = function(p)
        return K:make("keys_bf16", ("msa_keys_bf16_%d"):format(f.d), { keys = f.keys, d = f.d, dpad = dpad,
          steps = steps, paired = paired, tile = tile, count = p.count, k_stride = p.k_stride,
          v_stride = p.v_stride or p.k_stride }, { { "count", "count" }, { "keys", "keys" }, { "tile", "tile" },
          { "k_stride", "k_stride" }, { "v_stride", "v_stride" } })
      end }
  end,
  cycles = function(core, f) return 0, 5 * f.count * f.d * core.SCALAR, 0 end }

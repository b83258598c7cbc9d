-- SPDX-License-Identifier: Apache-2.0
--- Keys and values of one head, packed as attention reads them. Request: keys, d; row, keys of a grid's row.
-- @return { k, v } sizes in floats; place { count, k_stride, v_stride }, which gives the kernel f(first, k, v, kp, vp)
-- that places `count` keys; stride 0 repeats one
local requests = require "kernels.requests"

return { request = requests.request(requests.sizes("keys", "d"), { row = requests.size }), fresh = true,
  make = function(K, f)
    local tile_keys, dpad = K.key_tile(f.keys, f.row), K.round16(f.d)
    local count = (f.keys + tile_keys - 1) // tile_keys
    return { k = count * K.round16(tile_keys) * f.d, v = f.keys * dpad, place = function(p)
      return K:make("keys", ("msa_keys_f32_%d"):format(f.d), { keys = f.keys, d = f.d, dpad = dpad, tile = tile_keys,
        count = p.count, k_stride = p.k_stride, v_stride = p.v_stride or p.k_stride },
        { { "count", "count" }, { "keys", "keys" }, { "tile", "tile" }, { "k_stride", "k_stride" },
        { "v_stride", "v_stride" } })
    end }
  end,
  cycles = function(core, f) return 0, 2 * f.count * f.d * core.SCALAR, 0 end }

-- SPDX-License-Identifier: Apache-2.0
--- The gradient of a softmax by its logits, p (dp - D), D being the sum of dy o. Request: M rows of keys; d, columns of
-- o and dy; ldp, ldd (of dp), ldo, ldy; counted: the number of keys that count is given at run time.
-- @return the kernel f(dy, o, p, dp [, count]), which works in dp
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("M", "keys", "d", "ldp", "ldd", "ldo", "ldy"),
    { counted = schema.flag }), lanes = true,
  make = function(K, f)
    return K:make("softmax_dx", ("msa_softmax_dx_f32_%d%s"):format(f.d, f.counted and "_counted" or ""), { M = f.M,
      keys = f.keys, d = f.d, ldp = f.ldp, ldd = f.ldd, ldo = f.ldo, ldy = f.ldy, counted = f.counted or false },
      { { "rows", "M" }, { "keys", "keys" }, { "ldp", "ldp" }, { "ldd", "ldd" }, { "ldo", "ldo" }, { "ldy", "ldy" } })
  end,
  cycles = function(core, f)
    return 0, core:vectors(f.M * f.keys, 2, 2, 1) + core:vectors(f.M * f.d, 1, 2, 0) + f.M * core.ROW, 0
  end }

-- SPDX-License-Identifier: Apache-2.0
--- The gradient of a softmax by its logits, p (dp - D), D being the sum of p dp. Request: M rows of keys; ldp, ldd (of
-- dp); counted: the number of keys that count is given at run time.
-- @return the kernel f(p, dp [, count]), which works in dp
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("M", "keys", "ldp", "ldd"), { counted = schema.flag }), lanes = true,
  make = function(K, f)
    return K:make("softmax_dx", "msa_softmax_dx_f32" .. (f.counted and "_counted" or ""), { M = f.M, keys = f.keys,
      ldp = f.ldp, ldd = f.ldd, counted = f.counted or false },
      { { "rows", "M" }, { "keys", "keys" }, { "ldp", "ldp" }, { "ldd", "ldd" } })
  end,
  cycles = function(core, f) return 0, core:vectors(f.M * f.keys, 3, 4, 1) + f.M * core.ROW, 0 end }

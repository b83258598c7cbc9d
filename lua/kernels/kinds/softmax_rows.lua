-- SPDX-License-Identifier: Apache-2.0
--- Rows of logits to weights: exp(s - m) / l, m being a row's largest and l the sum. Request: M rows of keys; ld;
-- counted: the number of keys that count, at least 1, is given at run time. @return the kernel f(s [, count])
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("M", "keys", "ld"), { counted = schema.flag }), lanes = true,
  make = function(K, f)
    return K:make("softmax_rows", "msa_softmax_rows_f32" .. (f.counted and "_counted" or ""), { M = f.M, keys = f.keys,
      ld = f.ld, counted = f.counted or false }, { { "rows", "M" }, { "keys", "keys" }, { "ld", "ld" } })
  end,
  cycles = function(core, f)
    return 0, core:vectors(f.M * f.keys, core.EXP, 3, 2, 1) + f.M * core.ROW, 0
  end }

-- SPDX-License-Identifier: Apache-2.0
--- A tile of keys' logits to weights (docs/arithmetic.md). Request: rows, cols, ld; counted: the number of keys that
-- count is given at run time. @return the kernel f(s, m, l, alpha [, count])
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("rows", "cols", "ld"), { counted = schema.flag }),
  make = function(K, f)
    return K:make("softmax", "msa_softmax_f32" .. (f.counted and "_counted" or ""), { rows = f.rows, cols = f.cols,
      ld = f.ld, counted = f.counted or false }, { { "rows", "rows" }, { "cols", "cols" }, { "ld", "ld" } })
  end }

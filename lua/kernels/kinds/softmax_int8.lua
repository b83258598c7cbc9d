-- SPDX-License-Identifier: Apache-2.0
--- A tile of keys' logits to weights of 14 bits (docs/arithmetic.md, int8-dyn-1). Request: rows, cols; ld, floats; ldp,
-- numbers of 16 bits. @return the kernel f(s, p, m, l, alpha)
local integers = require "kernels.integers"
local requests = require "kernels.requests"

return { request = requests.sizes("rows", "cols", "ld", "ldp"),
  make = function(K, f)
    return K:make("softmax_int8", "msa_softmax_int8", { rows = f.rows, cols = f.cols, ld = f.ld,
      ldp = f.ldp, form = integers.form(K:integer(), "values"), vectors = K.isa.store_low16 ~= nil },
      { { "rows", "rows" }, { "cols", "cols" }, { "ld", "ld" }, { "ldp", "ldp" } })
  end }

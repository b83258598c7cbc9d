-- SPDX-License-Identifier: Apache-2.0
--- Lanes to lines: what msa_lanes_in did, back. Request: C columns; ldz, between lines.
-- @return the kernel f(x, z, lines), lines at most the lanes of a vector
local requests = require "kernels.requests"

return { request = requests.sizes("C", "ldz"), fresh = true, lanes = true,
  make = function(K, f)
    return K:make("lanes_out", "msa_lanes_out_f32", { C = f.C, ldz = f.ldz }, { { "columns", "C" }, { "ldz", "ldz" } })
  end }

-- SPDX-License-Identifier: Apache-2.0
--- Lines to lanes: line l of so many becomes lane l of each of its columns' vectors; lanes without a line are 0.
-- Request: C columns; ldx. @return the kernel f(x, z, lines), lines at most the lanes of a vector
local requests = require "kernels.requests"

return { request = requests.sizes("C", "ldx"), fresh = true, lanes = true,
  make = function(K, f)
    return K:make("lanes_in", "msa_lanes_in_f32", { C = f.C, ldx = f.ldx }, { { "columns", "C" }, { "ldx", "ldx" } })
  end }

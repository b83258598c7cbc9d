-- SPDX-License-Identifier: Apache-2.0
--- Levels of each lane, from 0 to 255, to rows ldz apart. Request: points, ldz. @return the kernel f(x, z)
local requests = require "kernels.requests"

return { request = requests.sizes("points", "ldz"), fresh = true, lanes = true,
  make = function(K, f)
    return K:make("lanes_copy", "msa_lanes_copy_f32", { points = f.points, ldz = f.ldz },
      { { "points", "points" }, { "ldz", "ldz" } })
  end }

-- SPDX-License-Identifier: Apache-2.0
--- The mean of each lane. Request: points; apart: points of it that follow each other are so many vectors apart (1).
-- @return the kernel f(x, z): z a vector
local requests = require "kernels.requests"

return { request = requests.sizes "points", fresh = true, lanes = true,
  make = function(K, f)
    return K:make("lanes_mean", "msa_lanes_mean_f32", { points = f.points,
      share = ("%a"):format(string.unpack("f", string.pack("f", 1 / f.points))) .. "f" }, { { "points", "points" } })
  end }

-- SPDX-License-Identifier: Apache-2.0
--- Points less what their lane's mean is, or times a gain of their own, or both, in their place. Request: points;
-- centre, gain. @return the kernel f(x, [mean,] [w,])
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes "points", { centre = schema.flag, gain = schema.flag }),
  lanes = true,
  make = function(K, f)
    return K:make("lanes_gain", "msa_lanes_gain_f32", { points = f.points, centre = f.centre or false,
      gain = f.gain or false }, { { "points", "points" } })
  end }

-- SPDX-License-Identifier: Apache-2.0
--- Complex points of each lane times a number each, w[i] x[i], stored or added. Request: points; add.
-- @return the kernel f(x, z, w)
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes "points", { add = schema.flag }), lanes = true,
  make = function(K, f)
    return K:make("lanes_weigh", f.add and "msa_lanes_weigh_add_f32" or "msa_lanes_weigh_f32",
      { points = f.points, add = f.add or false }, { { "points", "points" } })
  end }

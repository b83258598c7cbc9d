-- SPDX-License-Identifier: Apache-2.0
--- A moment of a map from the sums of its lines, which are added in order: the mean or, where eps is given, 1 / sqrt(
-- variance + eps). Request: lines; values, how many the map has; eps. @return the kernel f(sums, moment)
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("lines", "values"), { eps = schema.number }), fresh = true,
  make = function(K, f)
    local fields = { lines = f.lines, values = K.literal(f.values), eps = f.eps and K.literal(f.eps) or false }
    local numbers = { { "lines", "lines" }, { "values", "values" } }
    if f.eps then numbers[3] = { "eps", "eps" } end
    fields.inverse = f.eps ~= nil
    return K:make("map_moment", "msa_map_" .. (f.eps and "deviation" or "mean") .. "_f32", fields, numbers)
  end,
  cycles = function(core, f) return 0, 4 * f.lines + core.ROW, 0 end }

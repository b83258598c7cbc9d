-- SPDX-License-Identifier: Apache-2.0
--- A row of a picture less what surrounds it: 4 I - 4 G(I) + 128, G a Gaussian, borders mirrored; rounded, 0 to 255.
-- Request: width, height, channels; radius of the Gaussian.
-- @return the kernel f(picture, out, line, w, row): w has the Gaussian from its middle on, radius + 1 numbers; line:
-- `room`
local requests = require "kernels.requests"

local function stride(width, channels, radius) return (width + 2 * radius) * channels + 32 end

return { request = requests.sizes("width", "height", "channels", "radius"), lanes = true,
  make = function(K, f)
    return K:make("local_average", "msa_local_average", { width = f.width, height = f.height, channels = f.channels,
      radius = f.radius }, {})
  end, room = { line = function(width, channels, radius) return 2 * stride(width, channels, radius) end } }

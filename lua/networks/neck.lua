-- SPDX-License-Identifier: Apache-2.0
--- SAM's neck: the encoder's features to the width that the decoder has (Li et al. 2022).

local EPS = 1e-6

local neck = {}

--- @param p networks/parameters.lua, of the encoder @param width of its features @param out of the embedding
function neck.declare(p, width, out)
  return { conv_0 = p:convolution("neck.0", out, width, 1), norm_1 = p:norm("neck.1", out, EPS),
    conv_2 = p:convolution("neck.2", out, out, 3), norm_3 = p:norm("neck.3", out, EPS) }
end

--- A layer of its own. @param x [slices,grid,grid,width] @return [slices,grid,grid,out]
function neck.compute(t, e, x)
  t.g:layer "neck"
  local y = t:norm(t:linear(x, e.conv_0), e.norm_1)
  return t:norm(t.g:conv(y, t:parameter(e.conv_2.weight), nil, { stride = 1, sums = "tap" }), e.norm_3)
end

return neck

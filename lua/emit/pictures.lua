-- SPDX-License-Identifier: Apache-2.0
--- What runtime/msa_image.c computes, as its sources define it: Pillow's bilinear resize with 8-bit rows between its
-- two passes, and PyTorch's bilinear interpolation of logits. Plain and slow: for a few pixels of small pictures.
local pictures = {}

local WEIGHT = 1 << 22

local function f32(s) return (string.unpack("<f", string.pack("<f", s))) end

-- Pillow's triangle at output place `at`: the first input place and the weights in 22 bits of fraction.
local function triangle(input, output, at)
  local scale = input / output
  local support = math.max(scale, 1.0)
  local centre, inverse = (at + 0.5) * scale, 1.0 / support
  local function towards_zero(x) return math.tointeger(x >= 0 and math.floor(x) or math.ceil(x)) end
  local first = math.max(0, towards_zero(centre - support + 0.5))
  local last = math.min(input, towards_zero(centre + support + 0.5))
  local values, sum = {}, 0.0
  for k = first, last - 1 do
    local x = math.abs((k - centre + 0.5) * inverse)
    values[#values + 1] = x < 1.0 and 1.0 - x or 0.0
    sum = sum + values[#values]
  end
  for i, v in ipairs(values) do values[i] = math.tointeger(math.floor(0.5 + v / sum * WEIGHT)) end
  return first, values
end

local function rounded(sum) return math.min(255, (sum + WEIGHT // 2) >> 22) end

--- A picture resized. @param at function(x, y, channel) -> 0..255 @return function(x, y, channel) of the result
function pictures.resized(at, width, height, out_width, out_height)
  local across, down, wide = {}, {}, {}
  local function cached(list, i, input, output)
    local t = list[i]
    if not t then
      t = table.pack(triangle(input, output, i))
      list[i] = t
    end
    return t[1], t[2]
  end
  local function horizontal(x, y, c)
    local key = (y * out_width + x) * 3 + c
    if not wide[key] then
      local first, weights = cached(across, x, width, out_width)
      local sum = 0
      for k, weight in ipairs(weights) do sum = sum + weight * at(first + k - 1, y, c) end
      wide[key] = rounded(sum)
    end
    return wide[key]
  end
  return function(x, y, c)
    local first, weights = cached(down, y, height, out_height)
    local sum = 0
    for k, weight in ipairs(weights) do sum = sum + weight * horizontal(x, first + k - 1, c) end
    return rounded(sum)
  end
end

--- The picture's size within the model's square: the square, or with the longest side fitted.
function pictures.size(width, height, side, longest)
  if not longest then return side, side end
  local scale = side / math.max(width, height)
  return math.max(1, math.floor(width * scale + 0.5)), math.max(1, math.floor(height * scale + 0.5))
end

-- Two neighbours and the second one's share.
local function between(input, output, at)
  local source = math.max(0.0, f32(input / output) * (at + 0.5) - 0.5)
  local low = math.min(math.tointeger(math.floor(source)), input - 1)
  return low, math.min(low + 1, input - 1), f32(source - low)
end

local function blend(a, b, share) return f32(f32(a * f32(1.0 - share)) + f32(b * share)) end

-- at at another size, of which only the first `inner` places are there.
local function enlarged(at, width, height, out_width, out_height)
  return function(x, y)
    local left, right, along = between(width, out_width, x)
    local top, bottom, down = between(height, out_height, y)
    return blend(blend(at(left, top), at(right, top), along), blend(at(left, bottom), at(right, bottom), along), down)
  end
end

--- Floats at another size by interpolation between four of them, however much smaller it is: msa_sample.c.
-- @param at function(x, y, channel) -> a float32 @return function(x, y, channel) of the result
function pictures.sampled(at, width, height, out_width, out_height)
  local channels = {}
  for c = 0, 2 do
    channels[c] = enlarged(function(x, y) return at(x, y, c) end, width, height, out_width, out_height)
  end
  return function(x, y, c) return channels[c](x, y) end
end

-- Four neighbours and their shares: Keys' cubic convolution with a = -0.75.
local function four_at(input, output, at)
  local source = f32(input / output) * (at + 0.5) - 0.5
  local low = math.floor(source)
  local t, a, places, shares = f32(source - low), -0.75, {}, {}
  local function near(x) return ((a + 2) * x - (a + 3)) * x * x + 1 end
  local function far(x) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a end
  for i, share in ipairs { far(t + 1), near(t), near(1 - t), far(2 - t) } do
    places[i], shares[i] = math.tointeger(math.min(math.max(low + i - 2, 0), input - 1)), f32(share)
  end
  return places, shares
end

-- A sum of four products, each operation rounded.
local function four(shares, value)
  local sum = f32(value(1) * shares[1])
  for i = 2, 4 do sum = f32(sum + f32(value(i) * shares[i])) end
  return sum
end

--- Logits of side x side brought to a picture's size by cubic convolution: msa_bicubic.c. @param at as below
function pictures.bicubic(at, side, width, height)
  return function(x, y)
    local across, along = four_at(side, width, x)
    local down, below = four_at(side, height, y)
    return four(below, function(j)
      return four(along, function(i) return at(across[i], down[j]) end)
    end)
  end
end

--- Logits of side x side brought to a picture's size, by way of a square of so many pixels a side unless that is 0.
-- @param at function(x, y) -> a float32 @return function(x, y) of the result
function pictures.upsampled(at, side, square, width, height)
  local inner_width, inner_height = side, side
  if square > 0 then
    at = enlarged(at, side, side, square, square)
    inner_width, inner_height = pictures.size(width, height, square, true)
  end
  return enlarged(at, inner_width, inner_height, width, height)
end

return pictures

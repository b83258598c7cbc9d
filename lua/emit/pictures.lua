-- SPDX-License-Identifier: Apache-2.0
--- What the runtime makes of pictures, as its sources define it: the model's square of an image (emit/resamplers), and
-- the image's size of logits (PyTorch's bilinear interpolation; runtime/msa_upsample.c). Plain and slow: for a few
-- pixels of small pictures.
local resamplers = require "emit.resamplers"

local pictures = {}

local function f32(s) return (string.unpack("<f", string.pack("<f", s))) end

--- The picture's size within the model's square: the square, or with the longest side fitted.
function pictures.size(width, height, side, longest)
  if not longest then return side, side end
  local scale = side / math.max(width, height)
  return math.max(1, math.floor(width * scale + 0.5)), math.max(1, math.floor(height * scale + 0.5))
end

-- What a byte of the network's colour c becomes. @param picture the resized one, width x height
local function levels(normalise, picture, width, height)
  if normalise.mean then
    return function(v, c) return (v - normalise.mean[c + 1]) / normalise.std[c + 1] end
  end
  local low, high = 255, 0
  for i = 0, width * height * 3 - 1 do
    local v = picture(i // 3 % width, i // 3 // width, i % 3)
    low, high = math.min(low, v), math.max(high, v)
  end
  return function(v) return (v - low) / math.max(high - low, 1) end
end

--- The network's input of a slice: resized, normalised, zeros beyond the picture.
-- @param at function(x, y, channel) -> 0..255, width x height @return function(x, y, colour) -> a float32
function pictures.input(m, at, width, height)
  local to_width, to_height = pictures.size(width, height, m.image_size, m.resize == "longest")
  if m.resampling == "sampled" then
    local level = levels(m.normalise)
    return pictures.sampled(function(x, y, c) return f32(level(at(x, y, c), c)) end, width, height, to_width, to_height)
  end
  local picture = resamplers[m.resampling](at, width, height, to_width, to_height)
  local level = levels(m.normalise, picture, to_width, to_height)
  return function(x, y, c)
    if x >= to_width or y >= to_height then return 0 end
    return f32(level(picture(x, y, m.normalise.reversed and 2 - c or c), c))
  end
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
-- @param squashed whether the image fills the square
function pictures.upsampled(at, side, square, width, height, squashed)
  local inner_width, inner_height = side, side
  if square > 0 then
    at = enlarged(at, side, side, square, square)
    inner_width, inner_height = pictures.size(width, height, square, not squashed)
  end
  return enlarged(at, inner_width, inner_height, width, height)
end

return pictures

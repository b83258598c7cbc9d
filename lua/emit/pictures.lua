-- SPDX-License-Identifier: Apache-2.0
--- What the runtime makes of pictures, as its sources define it: the model's square of an image (emit/resamplers), and
-- the image's size of logits (PyTorch's bilinear interpolation; runtime/msa_image.c). Plain and slow: for a few pixels
-- of small pictures.
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

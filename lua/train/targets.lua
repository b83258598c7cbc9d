-- SPDX-License-Identifier: Apache-2.0
--- Masks at the size that a loss is taken at (MSA's out_size).
local augment = require "msagen.augment"
local pictures = require "emit.pictures"
local resize = require "msagen.resize"
local tensor = require "msagen.tensor"

local targets = {}

-- 1 from 128 on.
local HALF = ("\0"):rep(128) .. ("\1"):rep(128)

--- The mask that MSA clicks on: Pillow's bicubic to the network's size, its overshoots cut off.
-- @param mask u8 [H,W] or [D,H,W], 255 is inside  @return u8 [side,side] or [D,side,side]
function targets.clickable(mask, side) return resize.mask(mask, side, side, "bicubic") end

--- What MSA trains on: Pillow's bilinear, divided by 255. Edges are soft.
-- @param mask u8 [H,W] or [D,H,W], 255 is inside  @return f32 [side,side] or [D,side,side], 0 to 1
function targets.soft(mask, side) return resize.mask(mask, side, side):scale(1 / 255) end

--- The same at the middle: u8, 1 from 128 on, else 0.
function targets.binary(mask, side) return augment.levels(resize.mask(mask, side, side), HALF) end

local SOFT, HARD = {}, {}
for v = 0, 255 do
  SOFT[string.char(v)] = string.pack("<f", v / 255)
  HARD[string.char(v)] = v >= 128 and "\1" or "\0"
end

-- Bytes [D,h,w] in the upper left of squares [D,side,side], zeros elsewhere.
local function squared(bytes, slices, height, width, side)
  if width == side and height == side then return bytes end
  local parts, beside, below = {}, ("\0"):rep(side - width), ("\0"):rep((side - height) * side)
  for row = 0, slices * height - 1 do
    parts[#parts + 1] = bytes:sub(row * width + 1, (row + 1) * width)
    parts[#parts + 1] = beside
    if row % height == height - 1 then parts[#parts + 1] = below end
  end
  return table.concat(parts)
end

--- Targets of masks: resized as Pillow's bilinear has them, zeros beyond the picture.
-- @param masks list of u8 [D,H,W], a class each  @param side of the targets
-- @return f32 (edges soft) or u8 [D,M,side,side]
function targets.of(masks, side, longest, edges)
  local parts, depth = {}, masks[1].shape[1]
  for m, mask in ipairs(masks) do
    local width, height = pictures.size(mask.shape[3], mask.shape[2], side, longest)
    parts[m] = squared(resize.mask(mask, height, width):tobytes(), depth, height, width, side)
  end
  local ordered, step = {}, side * side
  for s = 0, depth - 1 do
    for m = 1, #parts do ordered[#ordered + 1] = parts[m]:sub(s * step + 1, (s + 1) * step) end
  end
  local bytes = table.concat(ordered):gsub(".", edges == "soft" and SOFT or HARD)
  return tensor.frombytes(bytes, edges == "soft" and "f32" or "u8", { depth, #parts, side, side })
end

return targets

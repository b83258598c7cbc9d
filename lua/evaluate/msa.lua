-- SPDX-License-Identifier: Apache-2.0
--- MSA's own evaluation (`eval_seg` of its two versions), for numbers beside those of its logs. It compares at the
-- network's size, not at the image's: the truth is shrunk as Pillow does it and keeps soft edges, and five thresholds
-- on both are averaged. 2023 takes logits for probabilities, at the size that they have; 2025 takes their sigmoid,
-- enlarged to 256.
local fail = require "support.fail"
local metrics = require "msagen.metrics"
local npy = require "msagen.npy"
local tensor = require "msagen.tensor"

local msa = {}

local OUT_SIZE = 256 -- MSA's default, 2025
local BITS = 22      -- of Pillow's coefficients: 32, less 8 of a pixel, less 2

-- Pillow's bilinear coefficients from one length to another: of each place its first, and the weights as integers.
local function coefficients(from, to)
  local scale, list = from / to, {}
  local support = math.max(1, scale)
  for at = 0, to - 1 do
    local middle = (at + 0.5) * scale
    local first = math.max(0, math.tointeger(math.floor(middle - support + 0.5)))
    local last = math.min(from, math.tointeger(math.floor(middle + support + 0.5)))
    local weights, sum = {}, 0
    for x = first, last - 1 do
      local w = math.max(0, 1 - math.abs((x - middle + 0.5) / support))
      weights[#weights + 1], sum = w, sum + w
    end
    for i, w in ipairs(weights) do weights[i] = math.floor(w / sum * (1 << BITS) + 0.5) end
    list[at + 1] = { first = first, weights = weights }
  end
  return list
end

-- A line of bytes as one of another length.
local function resized(line, coefficient)
  local out = {}
  for i, c in ipairs(coefficient) do
    local sum, first = 1 << BITS - 1, c.first
    for k, w in ipairs(c.weights) do sum = sum + w * line[first + k] end
    out[i] = math.max(0, math.min(255, sum >> BITS))
  end
  return out
end

--- Bytes [height][width] as numbers 0 to 1 of side x side, rows first, as Pillow's bilinear resize has them.
function msa.shrunk(bytes, height, width, side)
  local across, down = coefficients(width, side), coefficients(height, side)
  local rows, none, empty = {}, {}, ("\0"):rep(width)
  for x = 1, side do none[x] = 0 end
  for y = 1, height do
    local row = bytes:sub((y - 1) * width + 1, y * width)
    rows[y] = row == empty and none or width == side and { row:byte(1, -1) } or resized({ row:byte(1, -1) }, across)
  end
  local out = {}
  for y, c in ipairs(down) do
    local line = {}
    for x = 1, side do
      local sum = 1 << BITS - 1
      for k, w in ipairs(c.weights) do sum = sum + w * rows[c.first + k][x] end
      line[x] = height == side and rows[y][x] or math.max(0, math.min(255, sum >> BITS))
    end
    for x = 1, side do out[#out + 1] = line[x] / 255 end
  end
  return out
end

-- Values [from][from] enlarged to side x side, bilinear, align_corners = false.
local function enlarged(values, from, side)
  if from == side then return values end
  local places, out = {}, {}
  for i = 0, side - 1 do
    local at = math.max(0, (i + 0.5) * from / side - 0.5)
    local low = math.min(from - 1, math.floor(at))
    places[i + 1] = { low, math.min(from - 1, low + 1), at - low }
  end
  for _, y in ipairs(places) do
    local above, below, v = y[1] * from, y[2] * from, y[3]
    for _, x in ipairs(places) do
      local a, b = values[above + x[1] + 1], values[above + x[2] + 1]
      local c, d = values[below + x[1] + 1], values[below + x[2] + 1]
      out[#out + 1] = (1 - v) * (a + x[3] * (b - a)) + v * (c + x[3] * (d - c))
    end
  end
  return out
end

--- Which version's evaluation a dialect has, msa-2023 or msa-2025; a dialect of others has none, which is an error.
function msa.version(dialect)
  if not dialect:match "^msa%-" then
    fail("--mode msa: expected a build of one of MSA's dialects, found %s", dialect)
  end
  return dialect:match "2025" and "msa-2025" or "msa-2023"
end

--- Put MSA's Dice and IoU into a row: means over the slices, of which an empty one counts 1.
-- @param logits path of f32 [N,M,4g,4g], of which mask number `mask` from 0 counts
-- @param truth u8 [N,H,W]
function msa.replace(row, logits, truth, dialect, mask)
  local version, t = msa.version(dialect), npy.read(logits)
  local slices, side = t.shape[1], t.shape[4]
  local out = version == "msa-2023" and side or OUT_SIZE
  local height, width, dice, iou = truth.shape[2], truth.shape[3], 0, 0
  for s = 0, slices - 1 do
    local values = enlarged(t:slice(1, s, 1):slice(2, mask, 1):totable(), side, out)
    local soft = msa.shrunk(truth:slice(1, s, 1):tobytes(), height, width, out)
    local shape = { 1, out, out }
    local found = metrics.msa_eval(tensor.from(values, shape), tensor.from(soft, shape), version)
    dice, iou = dice + found.dice, iou + found.iou
  end
  row.dice, row.iou = dice / slices, iou / slices
  for _, name in ipairs { "hd95_pooled", "hd95_max", "hd95_area", "surface_dice" } do row[name] = nil end
end

return msa

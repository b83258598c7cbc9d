-- SPDX-License-Identifier: Apache-2.0
--- Where a scan lies in the patient, and its voxels in other orders than [N,H,W]: the file's own axes, and axes that
-- run to the right, to the front and upwards (RAS).
-- A place is { affine = rows that take a file's (i, j, k, 1) to mm right, front, up; axes = of each of N, H, W
-- { axis = 1 (i) to 3 (k), flipped = it runs backwards }; shape = { i, j, k } of the file; assumed = the file does not
-- say so itself }.
local fail = require "support.fail"

local place = {}

local WORDS = { R = "left to right", L = "right to left", A = "back to front", P = "front to back",
  S = "bottom to top", I = "top to bottom" }
local OPPOSITE = { R = "L", L = "R", A = "P", P = "A", S = "I", I = "S" }
local AXIS_OF = { R = 1, L = 1, A = 2, P = 2, S = 3, I = 3 }

-- The dimensions of [N,H,W] in the order in which `wanted` names file axes, and which of them run backwards there.
local function arrange(of, wanted)
  local order, flips = {}, {}
  for n, axis in ipairs(wanted) do
    for d, one in ipairs(of.axes) do
      if one.axis == axis then order[n], flips[n] = d, one.flipped end
    end
  end
  return order, flips
end

-- A view (where something runs backwards a copy) of values [N,H,W] or [N,H,W,3] with its dimensions in another order.
local function turned(values, order, flips)
  if #values.shape == 4 then order = { order[1], order[2], order[3], 4 } end
  local t = values:permute(order)
  for n = 1, 3 do
    if flips[n] then t = t:flip(n) end
  end
  return t
end

--- Values in a file's order, [K,J,I] or [K,J,I,3].
-- @param of the scan's place
function place.filed(values, of)
  local order, flips = arrange(of, { 3, 2, 1 })
  return turned(values, order, flips)
end

--- The letters of a place's three file axes, "LAS": where each leads to; or nil where the matrix has no directions.
function place.directions(of) return require("msagen.nifti").directions(of.affine) end

--- Values on axes that run to the right, to the front and upwards, [z,y,x] or [z,y,x,3]: no voxel is changed, the axes
-- nearest to these are taken.
-- @return the values, and their place; nil where there are no directions
function place.ras(values, of)
  local letters = place.directions(of)
  if not letters then return nil end
  local shape, file_of, backwards = of.shape, {}, {}
  for axis = 1, 3 do
    local letter = letters:sub(axis, axis)
    file_of[AXIS_OF[letter]] = axis
    backwards[AXIS_OF[letter]] = letter == "L" or letter == "P" or letter == "I"
  end
  local order, flips = arrange(of, { file_of[3], file_of[2], file_of[1] })
  local affine = { {}, {}, {}, { 0.0, 0.0, 0.0, 1.0 } }
  for r = 1, 3 do
    affine[r][4] = of.affine[r][4]
    for x = 1, 3 do
      local step = of.affine[r][file_of[x]]
      affine[r][x] = backwards[x] and -step or step
      if backwards[x] then affine[r][4] = affine[r][4] + step * (shape[file_of[x]] - 1) end
    end
  end
  for n = 1, 3 do flips[n] = (flips[n] and true or false) ~= backwards[4 - n] end
  return turned(values, order, flips), { affine = affine,
    axes = { { axis = 3, flipped = false }, { axis = 2, flipped = false }, { axis = 1, flipped = false } },
    shape = { shape[file_of[1]], shape[file_of[2]], shape[file_of[3]] } }
end

--- Where slices, rows and columns of a scan lead to, as a line; nil where that is not known.
function place.said(of)
  local letters = place.directions(of)
  if not letters then return nil end
  local words = {}
  for d = 1, 3 do
    local axis = of.axes[d]
    local letter = letters:sub(axis.axis, axis.axis)
    words[d] = WORDS[axis.flipped and OPPOSITE[letter] or letter]
  end
  local names = { "i", "j", "k" }
  return ("slices along the file's %s axis, %s; rows %s, columns %s"):format(names[of.axes[1].axis], words[1],
    words[2], words[3])
end

--- Refuse labels that do not lie where an image of the same shape does: half a voxel off is too much.
-- @param what, whose words for the message: by default "truth" and "the image's"
function place.check_same(path, labels, image, what, whose)
  local a, b = labels.values.shape, image.values.shape
  if a[1] ~= b[1] or a[2] ~= b[2] or a[3] ~= b[3] then return end
  if labels.place and labels.place.assumed or image.place and image.place.assumed then return end
  local off, spacing = require("scans.grid").distance(labels, image), image.spacing or {}
  local least = math.min(spacing[1] or 1, spacing[2] or 1, spacing[3] or 1)
  if off and not (off < least / 2) then
    fail("%s: %s: expected labels where %s voxels lie, found them up to %.3g mm away: another orientation, or another "
      .. "grid", path, what or "truth", whose or "the image's", off)
  end
end

--- The place of slices first (from 0) to first + count - 1 of a scan.
function place.sliced(of, first, count)
  local axis, affine, shape = of.axes[1], {}, {}
  local start = axis.flipped and of.shape[axis.axis] - first - count or first
  for r = 1, 3 do
    affine[r] = { of.affine[r][1], of.affine[r][2], of.affine[r][3],
      of.affine[r][4] + of.affine[r][axis.axis] * start }
  end
  affine[4] = { 0.0, 0.0, 0.0, 1.0 }
  for a = 1, 3 do shape[a] = a == axis.axis and count or of.shape[a] end
  return { affine = affine, axes = of.axes, shape = shape }
end

return place

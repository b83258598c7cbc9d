-- SPDX-License-Identifier: Apache-2.0
--- Images that people give to `run`: PNG, JPEG and NPY as one tensor u8 [N,H,W,3].
local fail = require "support.fail"

local inputs = {}

inputs.MAX_SIDE = 16384
local MAX_SLICES = 65536
local DARK = 16 -- of 255

--- "u8 [20,80,3]".
function inputs.describe(t) return ("%s [%s]"):format(t.dtype, table.concat(t.shape, ",")) end

--- Whether a file begins as an NPY file does.
function inputs.is_npy(path) return require("msagen.sys").read_start(path, 6) == "\x93NUMPY" end

-- How Python makes of an array what is expected, or "".
local function remedy(t)
  local shape = t.shape
  local channels = shape[#shape]
  if t.dtype ~= "u8" then
    if t.dtype:match "f%d" then
      return ": values 0 to 1 become bytes by (255 * a).round().astype('uint8'), others need a window"
    end
    return ": choose the range of values to show, and write it as uint8, 0 to 255"
  end
  if #shape == 2 or (#shape == 3 or #shape == 4) and channels == 1 then
    return ": grey becomes RGB by numpy.repeat, three times along a last axis"
  end
  if (#shape == 3 or #shape == 4) and channels == 4 then return ": RGBA becomes RGB by a[..., :3]" end
  if #shape == 3 and shape[1] == 3 then return ": channels go to the end by numpy.moveaxis(a, 0, -1)" end
  return ""
end

local function check(path, t, depth)
  local shape = t.shape
  if t.dtype ~= "u8" or shape[#shape] ~= 3 or not (#shape == 3 and depth == 1 or #shape == 4) then
    local volume = ("uint8 [N,H,W,3] of %d slices or more"):format(depth)
    local expected = depth == 1 and "uint8 [H,W,3] or [N,H,W,3]" or volume
    fail("%s: image: expected %s, found %s%s", path, expected, inputs.describe(t), remedy(t))
  end
  local slices = #shape == 3 and 1 or shape[1]
  if slices < depth or slices > MAX_SLICES then
    fail("%s: image: expected a volume of %d slices, the depth built for, or more (up to %d), found %d", path, depth,
      MAX_SLICES, slices)
  end
  local height, width = shape[#shape - 2], shape[#shape - 1]
  if height < 1 or width < 1 or height > inputs.MAX_SIDE or width > inputs.MAX_SIDE then
    fail("%s: image: expected 1 to %d pixels a side, found %dx%d", path, inputs.MAX_SIDE, width, height)
  end
  return t:reshape { slices, height, width, 3 }
end

--- Read an image for a model of `depth` slices.
-- @param bits of --image-bits, or nil
-- @return the tensor u8 [N,H,W,3], what a person should know of it (an array of lines), its EXIF orientation (1: none)
function inputs.image(path, depth, bits)
  local image = require "msagen.image"
  if not inputs.is_npy(path) then
    local ok, t, notes, orientation = pcall(image.read, path, bits)
    if not ok then
      local text = type(t) == "table" and t.msagen
      if text and text:find(": expected a PNG or JPEG image, found ", 1, true) then
        local found = text:match "found (.*)$"
        fail("%s: image: expected PNG, JPEG or NPY (%s), found %s", path,
          depth == 1 and "uint8 [H,W,3]" or "uint8 [N,H,W,3]", found == "neither" and "another format" or found)
      end
      error(t, 0)
    end
    return check(path, t, depth), notes, orientation
  end
  if bits then fail("--image-bits %d: expected a PNG of 16 bits, found an NPY file: %s", bits, path) end
  local t = check(path, require("msagen.npy").read(path), depth)
  local most = image.brightest(t)
  return t, most < DARK and { ("the brightest value is %d of 255: the picture is nearly black"):format(most) } or {}, 1
end

return inputs

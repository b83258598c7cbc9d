-- SPDX-License-Identifier: Apache-2.0
--- Images that people give to `run`, `interpret` and `evaluate`: files of any format as one tensor u8 [N,H,W,3], and
-- masks of it as masks of the file.
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

local function check_depth(path, slices, depth)
  if slices < depth or slices > MAX_SLICES then
    fail("%s: image: expected a volume of %d slices, the depth built for, or more (up to %d), found %d", path, depth,
      MAX_SLICES, slices)
  end
end

local function check_sides(path, height, width)
  if height < 1 or width < 1 or height > inputs.MAX_SIDE or width > inputs.MAX_SIDE then
    fail("%s: image: expected 1 to %d pixels a side, found %dx%d", path, inputs.MAX_SIDE, width, height)
  end
end

-- An array that nobody said how to prepare: bytes in colour, as they are.
local function check_array(path, t, depth)
  local shape = t.shape
  if t.dtype ~= "u8" or shape[#shape] ~= 3 or not (#shape == 3 and depth == 1 or #shape == 4) then
    local volume = ("uint8 [N,H,W,3] of %d slices or more"):format(depth)
    local expected = depth == 1 and "uint8 [H,W,3] or [N,H,W,3]" or volume
    fail("%s: image: expected %s, found %s%s", path, expected, inputs.describe(t), remedy(t))
  end
end

local function same(mask) return mask end

-- Whether values are such as a rule for measured ones is meant for: a picture's are not.
local function is_measured(found)
  return not found.colour and (found.format == "nifti" or found.format == "dicom" or found.values.dtype ~= "u8")
end

-- The scan as a picture u8 [N,H,W,3]; what brings its masks back; { notes, spacing, place }; the rule, or nil.
local function picture_of(path, found, depth, options)
  local prepare = require "scans.prepare"
  local rule, problem = options.rule or is_measured(found) and options.built or nil, nil
  if not rule then
    local as_it_is = { notes = {}, spacing = found.spacing, place = found.place }
    if found.array then check_array(path, found.array, depth) end
    if found.colour or found.rgb then return found.rgb or found.values, same, as_it_is end
    rule, problem = prepare.default(found)
    if not rule then fail("%s: image: %s", path, problem) end
  end
  if type(rule) == "string" then
    rule, problem = prepare.parse(rule)
    if not rule then fail("--prepare: %s", problem) end
  end
  local picture, back, made = prepare.apply(found, rule)
  return picture, back, made, rule
end

-- A mask of one slice as that of all, empty elsewhere.
local function among(mask, k, count)
  local pixels = mask:numel()
  return require("msagen.tensor").frombytes(("\0"):rep(k * pixels) .. mask:tobytes()
    .. ("\0"):rep((count - k - 1) * pixels), "u8", { count, mask.shape[2], mask.shape[3] })
end

local Input = {}
Input.__index = Input

--- A mask u8 [N',H',W'] of the picture on the scan's own grid: of the slice that was chosen alone where the grid is
-- the same, else [N,H,W].
function Input:back(mask)
  if not self.rule or not self.rule.grid then return mask end
  return self:whole(mask)
end

--- The same on the whole grid, [N,H,W], whatever was chosen of it.
function Input:whole(mask)
  if self.slice then mask = among(mask, self.slice, self.slices) end
  return self.unprepare(mask)
end

--- How many slices Input:back gives.
function Input:depth()
  if self.rule and self.rule.grid then return self.scan.values.shape[1] end
  return self.slice and 1 or self.slices
end

--- Read an image for a model of `depth` slices.
-- @param options { bits = of --image-bits, frame, slice, axis, rule = how it is prepared (text, or as prepare.parse
--   gave it), built = the rule that the build was made with, which measured values get where there is no other }, each
--   may be missing; or nil
-- @return the tensor u8 [N',H',W',3], what a person should know of it (an array of lines), its EXIF orientation (1:
--   none), and { scan = (lua/scans/scan.lua), rule, slice, spacing, place = of the tensor, back =, whole = see above }
function inputs.image(path, depth, options)
  options = options or {}
  local found = require("scans.scan").read(path, options)
  local picture, unprepare, made, rule = picture_of(path, found, depth, options)
  local notes = table.move(found.notes, 1, #found.notes, 1, {})
  table.move(made.notes, 1, #made.notes, #notes + 1, notes)
  local slices, slice, of = picture.shape[1], options.slice, made.place
  if slice then
    if slice >= slices then
      fail("%s: --slice %d: expected 0 to %d, as there %s %d slice%s", path, slice, slices - 1,
        slices == 1 and "is" or "are", slices, slices == 1 and "" or "s")
    end
    picture = picture:slice(1, slice, 1)
    of = of and require("scans.place").sliced(of, slice, 1)
  end
  check_depth(path, picture.shape[1], depth)
  check_sides(path, picture.shape[2], picture.shape[3])
  local most = found.rgb and DARK or require("msagen.image").brightest(picture)
  if most < DARK then
    notes[#notes + 1] = ("the brightest value is %d of 255: the picture is nearly black"):format(most)
  end
  return picture, notes, found.orientation or 1, setmetatable({ path = path, scan = found, rule = rule, slice = slice,
    options = options,
    slices = slices, unprepare = unprepare, spacing = made.spacing, place = of }, Input)
end

return inputs

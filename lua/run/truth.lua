-- SPDX-License-Identifier: Apache-2.0
--- The expert's mask: which of its labels are inside. What is not clear is refused with the labels found.
local fail = require "support.fail"

local truth = {}

local COLOUR = 1 << 24 -- MSAGEN_LABEL_COLOUR: black
local WHITE = COLOUR + 0xFFFFFF
local EVERY = math.maxinteger >> 32 -- the largest label
local LISTED = 8
local FEW = 4 -- so many shades and no more are classes, not soft edges

--- What --truth-inside says: { {low, high} } of labels, `any`, or nil and what was expected.
function truth.inside(text)
  if text == "any" then return { any = true } end
  local numbers = {}
  for digits in (text .. ","):gmatch "(%d+)," do numbers[#numbers + 1] = math.tointeger(tonumber(digits)) end
  local plain = text:match "^%d+$"
  local low, high = text:match "^(%d+)%.%.(%d+)$"
  low, high = math.tointeger(tonumber(low)), math.tointeger(tonumber(high))
  if plain and numbers[1] and numbers[1] <= EVERY then return { grey = true, numbers[1], numbers[1] } end
  if low and high and low <= high and high <= EVERY then return { grey = true, low, high } end
  if text:match "^%d+,%d+,%d+$" and #numbers == 3 and math.max(table.unpack(numbers)) <= 255 then
    local label = COLOUR + (numbers[1] << 16) + (numbers[2] << 8) + numbers[3]
    return { label, label }
  end
  return nil, ("expected a value V, values V..W, a colour R,G,B, or any, found %s"):format(text)
end

-- As msagen.image.labels has them, for who reads masks, too.
truth.COLOUR, truth.EVERY, truth.FEW = COLOUR, EVERY, FEW

--- A label as people write it: a number, or a colour R,G,B.
function truth.shown(label)
  if label < COLOUR then return tostring(label) end
  return ("%d,%d,%d"):format(label >> 16 & 255, label >> 8 & 255, label & 255)
end

-- The labels found, the most frequent first.
local function labels_of(facts)
  local list = {}
  for i = 1, math.min(LISTED, #facts.list) do list[i] = truth.shown(facts.list[i][1]) end
  if facts.distinct > #list then list[#list + 1] = ("%d more"):format(facts.distinct - #list) end
  return table.concat(list, facts.kind == "colour" and "; " or ", ")
end

local function unclear(path, facts, what)
  local coloured = facts.kind == "colour"
  local remedy = facts.remedy or "--truth-inside " .. (coloured and "R,G,B or any" or "V, V..W or any")
  fail("%s: truth: %s, found %s %s: %s says which are inside", path, what, coloured and "colours" or "values",
    labels_of(facts), remedy)
end

-- What --truth-inside asks for, as ranges of this mask's labels.
local function asked(path, facts, wanted)
  local ranges = {}
  for i, one in ipairs(wanted) do
    if one.any then ranges[i] = facts.kind == "colour" and { COLOUR + 1, WHITE } or { 1, EVERY }
    elseif one.grey and facts.kind == "colour" then
      fail("%s: truth: --truth-inside: expected R,G,B, as the mask is coloured, found a value", path)
    elseif not one.grey and facts.kind ~= "colour" then
      fail("%s: truth: --truth-inside: expected a value, as the mask has no colours, found R,G,B", path)
    else ranges[i] = { one[1], one[2] } end
  end
  return ranges
end

-- Without it: masks of one colour on black; two values, one of them 0; grey from black to white with soft edges.
local function clear(path, facts)
  local first, second = facts.list[1][1], facts.distinct > 1 and facts.list[2][1] or nil
  local low, high = math.min(first, second or first), math.max(first, second or first)
  if facts.kind == "colour" then
    if facts.lossy then unclear(path, facts, "expected a mask in black and white, as JPEG changes colours") end
    if facts.distinct == 2 and low == COLOUR then return { { high, high } } end
    unclear(path, facts, "expected one colour on black")
  end
  local half = facts.most // 2
  if facts.kind == "numbers" then half = 0 end
  if not facts.lossy and facts.distinct == 2 and low == 0 then return { { 1, EVERY } } end
  if facts.kind == "numbers" and facts.distinct > 1 then unclear(path, facts, "expected 0 and one other value") end
  if not facts.lossy and facts.distinct == 2 and (low > half or high <= half) then
    unclear(path, facts, "expected 0 and one other value")
  end
  local several = facts.lossy or facts.distinct > 2
  if several and (facts.flat or not facts.lossy and facts.distinct <= FEW) then
    unclear(path, facts, "expected black and white, or 0 and one other value")
  end
  return { { half + 1, EVERY } }
end

--- Which labels of a mask are inside, where nobody said it: what is not clear is refused.
-- @param facts of msagen.image's labels; its `remedy`: what says which are inside, --truth-inside unless given
-- @return ranges for its inside
function truth.ranges(path, facts)
  local only = facts.distinct == 1 and facts.list[1][1] or 0
  if facts.kind ~= "colour" and not facts.lossy and only > 0 and only <= facts.most // 2 then
    unclear(path, facts, "expected 0 and one other value")
  end
  return clear(path, facts)
end

-- Whether all corners of the mask are inside, as of one whose black and white are exchanged.
local function has_corners(mask, slices, height, width)
  for s = 0, slices - 1 do
    for i = 0, 3 do
      if mask:get(s, i % 2 * (height - 1), i // 2 * (width - 1)) == 0 then return false end
    end
  end
  return true
end

local PICTURES = { png = true, jpeg = true, npy = true }

-- The labels of a volume's file, and where its voxels lie.
local function labels_of_scan(path, input, turned)
  local how = input and input.options or {}
  local found = require("scans.scan").read(path, { axis = how.axis })
  local what = found.modality == "SEG" and "a DICOM segmentation (SEG)" or found.colour and "colours"
  if what then fail("%s: truth: expected one label for each pixel, found %s: write it as PNG or NIfTI", path, what) end
  if input then require("scans.place").check_same(path, found, input.scan) end
  local labels, facts = require("msagen.image").labels(require("scans.prepare").labels(found, "none", found),
    found.format ~= "tiff")
  facts.orientation = found.orientation or turned
  return labels, facts
end

--- The labels of a mask's file, whatever its format.
-- @param input what inputs.image gives of the image that the mask is of, or nil
-- @return i32 [H,W] or [N,H,W] on the file's own grid, by NIfTI along the axis that the image was read along; what
--   msagen.image tells of labels
function truth.labels(path, input, turned)
  local pictures, format = require "msagen.image", require("scans.scan").format(path)
  if not format or PICTURES[format] then
    return pictures.labels(format == "npy" and require("msagen.npy").read(path) or path)
  end
  return labels_of_scan(path, input, turned or 1)
end

-- How many slices, rows and columns labels have, or nil where they are none of these.
local function sides(shape)
  local ahead = 1
  for i = 1, #shape - 2 do ahead = ahead * shape[i] end
  if #shape < 2 or #shape > 3 then return nil end
  return ahead, shape[#shape - 1], shape[#shape]
end

--- Labels of a whole scan as those of the picture that was made of it; others as they are.
-- @param labels a tensor on the scan's grid  @param input what inputs.image gave of the image
function truth.of_picture(labels, input)
  local slices, height, width = sides(labels.shape)
  local own = input.scan.values.shape
  if slices ~= own[1] or height ~= own[2] or width ~= own[3] then return labels end
  if input.rule and input.rule.grid then
    local like = setmetatable({ values = labels:reshape { slices, height, width }, colour = false, slope = 1,
      intercept = 0 }, { __index = input.scan })
    labels = require("scans.prepare").labels(like, input.rule, input.scan)
  end
  if input.slice and input.slices > 1 then
    local shape = labels.shape
    labels = labels:slice(1, input.slice, 1):reshape { 1, shape[2], shape[3] }
  end
  return labels
end

--- Read the truth of an image u8 [N,H,W,3].
-- @param wanted what truth.inside gave for each --truth-inside, or nil; with `absent` nothing may be inside
-- @param turned the image's EXIF orientation
-- @param input what inputs.image gave of the image: a truth of the whole scan is cut and prepared as the image was; or
--   nil
-- @return u8 [N,H,W], 255 inside, and what a person should know of it (an array of lines)
function truth.read(path, image, wanted, turned, input)
  local pictures = require "msagen.image"
  local slices, height, width = image.shape[1], image.shape[2], image.shape[3]
  local labels, facts = truth.labels(path, input, turned)
  if input then labels = truth.of_picture(labels, input) end
  local shape = labels.shape
  local ahead, rows, columns = sides(shape)
  if ahead ~= slices or rows ~= height or columns ~= width then
    local found = #shape == 2 and ("%dx%d"):format(shape[2], shape[1]) or ("[%s]"):format(table.concat(shape, ","))
    local size = slices > 1 and ("[%d,%d,%d]"):format(slices, height, width) or ("%dx%d"):format(width, height)
    local why = (" (EXIF turns the image by orientation %d and the truth by %d)"):format(turned, facts.orientation)
    fail("%s: truth: expected the image's size, %s, found %s%s", path, size, found,
      turned ~= facts.orientation and why or "")
  end
  local mask, pixels = pictures.inside(labels, wanted and asked(path, facts, wanted) or clear(path, facts))
  if pixels == 0 and not (wanted and wanted.absent) then
    local none = wanted and "that --truth-inside names" or ("over %d"):format(facts.most // 2)
    fail("%s: truth: expected a mask with something inside, found no pixel %s; its %s: %s", path, none,
      facts.kind == "colour" and "colours" or "values", labels_of(facts))
  end
  local notes = {}
  if turned ~= facts.orientation then
    notes[1] = ("truth: its EXIF orientation is %d, the image's %d: expected as large as the image is shown, and as it "
      .. "is shown"):format(facts.orientation, turned)
  end
  mask = mask:reshape { slices, height, width }
  local share = has_corners(mask, slices, height, width) and 100 * pixels / (slices * height * width)
  if share == 100 then notes[#notes + 1] = "truth: all of it is inside"
  elseif share and not wanted then
    local dark = facts.kind == "colour" and "0,0,0" or facts.distinct == 2 and "0" or ("0..%d"):format(facts.most // 2)
    notes[#notes + 1] = ("truth: %.0f %% of it is inside, all corners too: if its black is inside, give "
      .. "--truth-inside %s"):format(share, dark)
  end
  return mask, notes
end

return truth

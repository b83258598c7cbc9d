-- SPDX-License-Identifier: Apache-2.0
--- Two masks to compare, from files: which labels there are, which are one class, and how large a pixel is.
local fail = require "support.fail"
local truth = require "run.truth"

local masks = {}

local COLOUR, EVERY, FEW = truth.COLOUR, truth.EVERY, truth.FEW
local LISTED = 64 -- MSAGEN_LABELS_LISTED
local ALIKE = 1e-3 -- mm

-- Axes of one slice are a picture's; of what is not known of the spacing nothing is.
local function spacing_of(scan, dims)
  local list = {}
  for k = 1, 3 do
    local mm = scan.spacing and scan.spacing[k]
    if k > 3 - dims then
      if not mm then return nil end
      list[#list + 1] = mm
    end
  end
  return list
end

--- A mask from a file of any format.
-- @return { path, drawn = whether it is a picture, whose edges may be soft, labels = i32 [H,W] or [N,H,W], facts = of
-- msagen.image.labels, spacing = mm of each axis or nil }
function masks.read(path)
  local pictures, scans = require "msagen.image", require "scans.scan"
  local format = scans.format(path)
  local mask = { path = path, drawn = format == "png" or format == "jpeg" }
  if mask.drawn then
    mask.labels, mask.facts = pictures.labels(path)
  elseif format == "npy" then
    mask.labels, mask.facts = pictures.labels(require("msagen.npy").read(path))
  else
    local scan = scans.read(path)
    if scan.colour then fail("%s: mask: expected labels, found a picture in colour", path) end
    local shape = scan.values.shape
    local picture = shape[1] == 1 and format ~= "nifti"
    local labels = require("scans.prepare").labels(scan, "none", scan)
    mask.labels, mask.facts = pictures.labels(picture and labels:reshape { shape[2], shape[3] } or labels,
      format ~= "tiff")
    mask.scan, mask.spacing = scan, spacing_of(scan, picture and 2 or 3)
  end
  local shape = mask.labels.shape
  if #shape < 2 or #shape > 3 then
    fail("%s: mask: expected [H,W] or [N,H,W], found [%s]", path, table.concat(shape, ","))
  end
  return mask
end

-- The ranges of a mask that is inside or outside and nothing else; nil where it has classes.
local function two_sided(mask)
  local facts = mask.facts
  local black = facts.kind == "colour" and COLOUR or 0
  local soft = mask.drawn and facts.kind ~= "colour" and not facts.flat and (facts.lossy or facts.distinct > FEW)
  if soft then return { { facts.most // 2 + 1, EVERY } } end
  if facts.distinct > 2 then return nil end
  for i = 1, #facts.list do
    if facts.list[i][1] == black or facts.distinct == 1 then return { { black + 1, EVERY } } end
  end
end

-- All labels but the background of both, in order.
local function labels_of(pred, is)
  local seen = {}
  for _, mask in ipairs { pred, is } do
    if mask.facts.distinct > LISTED then
      fail("%s: mask: expected at most %d labels, found %d%s: --class says which is inside", mask.path, LISTED,
        mask.facts.distinct, mask.facts.lossy and ", as of a JPEG" or "")
    end
    for _, entry in ipairs(mask.facts.list) do seen[entry[1]] = true end
  end
  seen[0], seen[COLOUR] = nil, nil
  local list = {}
  for label in pairs(seen) do list[#list + 1] = label end
  table.sort(list)
  return list
end

local function same_kind(pred, is)
  if (pred.facts.kind == "colour") ~= (is.facts.kind == "colour") then
    local coloured = pred.facts.kind == "colour" and pred or is
    fail("%s: mask: expected values, as %s has, found colours", coloured.path, (coloured == pred and is or pred).path)
  end
end

local function asked(text, of)
  local range, why = truth.inside(text)
  if not range then fail("--class: %s", why) end
  if range.any then return { { (of.facts.kind == "colour" and COLOUR or 0) + 1, EVERY } } end
  if (range.grey == true) == (of.facts.kind == "colour") then
    fail("--class %s: expected a %s, as %s has", text, of.facts.kind == "colour" and "colour R,G,B" or "value", of.path)
  end
  return { { range[1], range[2] } }
end

--- Which labels are compared with which.
-- @param pred, is what masks.read gave, of one shape  @param wanted texts of --class, or nil
-- @return { { name, pred = ranges for msagen.image.inside, truth = ranges } ... }
function masks.classes(pred, is, wanted)
  local list = {}
  for i, text in ipairs(wanted or {}) do
    list[i] = { name = text, pred = asked(text, pred), truth = asked(text, is) }
  end
  if #list > 0 then return list end
  local a, b = two_sided(pred), two_sided(is)
  if a and b then return { { name = "inside", pred = a, truth = b } } end
  same_kind(pred, is)
  for _, label in ipairs(labels_of(pred, is)) do
    list[#list + 1] = { name = truth.shown(label), pred = { { label, label } }, truth = { { label, label } } }
  end
  return list
end

--- The masks of a class as u8 tensors, 255 inside.
function masks.inside(class, pred, is)
  local inside = require("msagen.image").inside
  return (inside(pred.labels, class.pred)), (inside(is.labels, class.truth))
end

--- Both files, which must have one shape.
function masks.pair(pred_path, truth_path)
  local pred, is = masks.read(pred_path), masks.read(truth_path)
  local a, b = table.concat(pred.labels.shape, ","), table.concat(is.labels.shape, ",")
  if a ~= b then fail("%s: mask: expected the truth's shape, [%s], found [%s]", pred_path, b, a) end
  if pred.scan and is.scan then
    require("scans.place").check_same(pred_path, pred.scan, is.scan, "mask", "the truth's")
  end
  return pred, is
end

--- Millimetres of each axis: those given, the truth's, or the prediction's.
-- @return the list, or nil where nobody knows; and a line that a person should know, or nil
function masks.spacing(pred, is, given)
  local dims = #is.labels.shape
  if given then
    if #given ~= dims then
      fail("--spacing: expected %d numbers, one for each axis of [%s], found %d", dims,
        table.concat(is.labels.shape, ","), #given)
    end
    return given
  end
  for k = 1, pred.spacing and is.spacing and dims or 0 do
    if math.abs(pred.spacing[k] - is.spacing[k]) > ALIKE then
      return is.spacing, ("%s: its spacing is %s mm, that of the truth %s: the truth's counts"):format(pred.path,
        table.concat(pred.spacing, " x "), table.concat(is.spacing, " x "))
    end
  end
  return is.spacing or pred.spacing
end

return masks

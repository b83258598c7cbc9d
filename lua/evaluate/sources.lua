-- SPDX-License-Identifier: Apache-2.0
--- The image of a case as the model takes it, and its truth a class, read of the files: the truth at the image's own
-- grid, which is what masks are compared on, and on the picture's, which is where clicks are made. The two differ where
-- a rule of preparation crops or resamples (lua/scans/prepare.lua).
local fail = require "support.fail"
local inputs = require "run.inputs"

local sources = {}

--- The image of a case.
-- @param options { folder, how = options of inputs.image }
-- @return { image = u8 [N,H,W,3], input = of inputs.image, spacing = mm of the scan's own axes or nil }
function sources.image(case, options)
  local how = {}
  for key, value in pairs(options.how) do how[key] = value end
  how.frame = case.channel or how.frame
  local image, _, turned, input = inputs.image(case.image, options.folder.depth, how)
  local mm = input.scan.spacing
  local known = mm and mm[2] and mm[3] and (mm[1] or image.shape[1] == 1)
  return { image = image, input = input, turned = turned, spacing = known and mm or nil }
end

local PICTURES = { png = true, jpeg = true }

-- The labels of a case's mask as i32, what is known of them, and its scan where it is no picture.
local function labels_of(case, found, options)
  local scans, image, labels, facts = require "scans.scan", require "msagen.image", nil, nil
  local format = scans.format(case.label)
  if not format or PICTURES[format] then
    labels, facts = image.labels(case.label)
    return labels, facts
  end
  local scan = scans.read(case.label, { axis = format == "nifti" and options.how.axis or nil })
  if scan.colour then fail("%s: truth: expected one label for each pixel, found colours", case.label) end
  labels, facts = image.labels(require("scans.prepare").labels(scan, "none", scan))
  return labels, facts, scan
end

local function check_shape(labels, found, case)
  local own, shape = found.input.scan.values.shape, labels.shape
  local slices = #shape == 3 and shape[1] or 1
  if slices == own[1] and shape[#shape - 1] == own[2] and shape[#shape] == own[3] then return end
  local why = found.turned > 1 and (" (EXIF turns the image by orientation %d)"):format(found.turned) or ""
  fail("%s: truth: expected %d slice%s of %dx%d, as the image has, found %d of %dx%d%s", case.label, own[1],
    own[1] == 1 and "" or "s", own[3], own[2], slices, shape[#shape], shape[#shape - 1], why)
end

-- The truth on the picture's grid; the rule of preparation says where each voxel comes from.
local function prepared(mask, found, scan)
  local rule = found.input.rule
  if not rule or not rule.grid then return mask end
  local like = {}
  for key, value in pairs(scan or found.input.scan) do like[key] = value end
  like.values, like.slope, like.intercept, like.modality_lut, like.colour = mask, 1, 0, nil, false
  return require("scans.prepare").labels(like, rule, found.input.scan)
end

--- Read a case's mask once for all classes.
-- @return function(class) -> { own = u8 [N,H,W] on the scan's grid, clicked = u8 [N',H',W'] on the picture's }, 255
--   inside
function sources.truths(case, found, options)
  local labels, facts, scan = labels_of(case, found, options)
  check_shape(labels, found, case)
  return function(class)
    if class.ranges and facts.kind == "colour" then
      fail("%s: truth: expected numbers, as %s is given by its value, found colours", case.label, class.name)
    end
    facts.remedy = "--classes NAME=V, or a class NAME=V of a CSV,"
    local ranges = class.ranges or require("run.truth").ranges(case.label, facts)
    local mask = require("msagen.image").inside(labels, ranges)
    mask = mask:reshape(table.move(found.input.scan.values.shape, 1, 3, 1, {}))
    return { own = mask, clicked = prepared(mask, found, scan) }
  end
end

return sources

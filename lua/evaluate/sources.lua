-- SPDX-License-Identifier: Apache-2.0
--- The image of a case as the model takes it, and its truth a class, read of the files: the truth at the image's own
-- grid, which is what masks are compared on, and on the picture's, which is where clicks are made. The two differ where
-- a rule of preparation crops or resamples (lua/scans/prepare.lua).
local fail = require "support.fail"
local inputs = require "run.inputs"
local truth = require "run.truth"

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

local function check_shape(labels, found, case)
  local own, shape = found.input.scan.values.shape, labels.shape
  local slices = #shape == 3 and shape[1] or 1
  if slices == own[1] and shape[#shape - 1] == own[2] and shape[#shape] == own[3] then return end
  local why = found.turned > 1 and (" (EXIF turns the image by orientation %d)"):format(found.turned) or ""
  fail("%s: truth: expected %d slice%s of %dx%d, as the image has, found %d of %dx%d%s", case.label, own[1],
    own[1] == 1 and "" or "s", own[3], own[2], slices, shape[#shape], shape[#shape - 1], why)
end

--- Read a case's mask once for all classes.
-- @return function(class) -> { own = u8 [N,H,W] on the scan's grid, clicked = u8 [N',H',W'] on the picture's }, 255
--   inside
function sources.truths(case, found)
  local labels, facts = truth.labels(case.label, found.input, found.turned)
  check_shape(labels, found, case)
  return function(class)
    if class.ranges and facts.kind == "colour" then
      fail("%s: truth: expected numbers, as %s is given by its value, found colours", case.label, class.name)
    end
    facts.remedy = "--classes NAME=V, or a class NAME=V of a CSV,"
    local ranges = class.ranges or truth.ranges(case.label, facts)
    local mask = require("msagen.image").inside(labels, ranges)
    mask = mask:reshape(table.move(found.input.scan.values.shape, 1, 3, 1, {}))
    return { own = mask, clicked = truth.of_picture(mask, found.input) }
  end
end

return sources

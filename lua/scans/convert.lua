-- SPDX-License-Identifier: Apache-2.0
--- A scan as values of another kind, in another order, and as a file: what `msagen convert` does.
local closed = require "support.closed"
local fail = require "support.fail"
local place = require "scans.place"
local prepare = require "scans.prepare"

local convert = {}

--- What --values may name.
convert.VALUES = { "stored", "modality", "grey", "rgb", "scaled" }
convert.ORIENTATIONS = { "file", "ras" }
convert.ENDINGS = { ".npy", ".png", ".nii", ".nii.gz" }

local AS_THEY_ARE = { low = -math.huge, high = math.huge, from = 0, over = 1, times = 1 }

-- Each gives values [N,H,W] or [N,H,W,3], and of the scan place, spacing, slope, intercept and notes where these are
-- not the scan's.
local takes = {}

function takes.stored(scan)
  local values = scan.stored or scan.values
  local same = values == scan.values
  return values, { slope = same and scan.slope or 1, intercept = same and scan.intercept or 0 }
end

-- Where a file does not scale its values, and NaN is one, they are left alone.
function takes.modality(scan)
  if scan.colour then fail("%s: --values modality: expected grey values, found colours", scan.path) end
  if scan.slope == 1 and scan.intercept == 0 then return scan.values, {} end
  local volume = { stored = scan.values, slope = scan.slope, intercept = scan.intercept }
  return require("msagen.intensity").numbers(volume, AS_THEY_ARE), {}
end

-- The rule that was asked for, else the scan's own for display.
local function rule_of(scan, rule)
  if rule then return rule end
  local found, problem = prepare.default(scan)
  if not found then fail("%s: %s", scan.path, problem) end
  return found
end

function takes.rgb(scan, rule)
  if scan.rgb and not rule then return scan.rgb, {} end
  local picture, _, made = prepare.apply(scan, rule_of(scan, rule))
  return picture, made
end

function takes.grey(scan, rule)
  if scan.colour then fail("%s: --values grey: expected grey values, found colours: --values rgb", scan.path) end
  local picture, made = takes.rgb(scan, rule)
  local shape = picture.shape
  return picture:slice(4, 0, 1):reshape { shape[1], shape[2], shape[3] }, made
end

function takes.scaled(scan, rule)
  if not rule then fail("%s: --values scaled: expected with --prepare or --window, found without", scan.path) end
  return prepare.scaled(scan, rule)
end

--- Values of a scan.
-- @param options { values = one of convert.VALUES, orientation = of convert.ORIENTATIONS, slice = one, from 0, rule =
--   as prepare.parse gives it }; the last two may be missing
-- @return { values = [N,H,W] or [N,H,W,3], place, spacing, slope, intercept, notes }
function convert.take(scan, options)
  local values, made = takes[options.values](scan, options.rule)
  local found = { values = values, place = scan.place, spacing = scan.spacing, slope = made.slope or 1,
    intercept = made.intercept or 0, notes = made.notes or {} }
  if made.notes then found.place, found.spacing = made.place, made.spacing end
  if options.slice then
    local count = values.shape[1]
    if options.slice >= count then
      fail("%s: --slice %d: expected 0 to %d, as there %s %d slice%s", scan.path, options.slice, count - 1,
        count == 1 and "is" or "are", count, count == 1 and "" or "s")
    end
    found.values = values:slice(1, options.slice, 1)
    found.place = found.place and place.sliced(found.place, options.slice, 1)
  end
  if options.orientation == "ras" then
    if not found.place then
      fail("%s: --orientation ras: expected a file that says how it lies in the patient, found %s", scan.path,
        scan.format)
    end
    local turned, lying, spacing = place.ras(found.values, found.place)
    if not turned then fail("%s: --orientation ras: expected axes that lead somewhere, found others", scan.path) end
    found.values, found.place, found.spacing = turned, lying, spacing
  end
  return found
end

local function squeezed(t)
  local shape = t.shape
  if shape[1] ~= 1 then return t end
  return t:reshape(table.move(shape, 2, #shape, 1, {}))
end

local writers = {
  [".npy"] = function(path, found) require("msagen.npy").write(path, squeezed(found.values)) end,
  [".png"] = function(path, found) require("msagen.image").write_png(path, squeezed(found.values)) end,
  [".nii"] = function(path, found) require("scans.nifti").write(path, found.values, found) end,
  [".nii.gz"] = function(path, found) require("scans.nifti").write(path, found.values, found, false, true) end,
}

--- The shape of what is written as an array or a picture, where one slice is no axis; of NIfTI slices, rows, columns.
function convert.written(path, t)
  return convert.ending(path):match "^%.nii" and t.shape or squeezed(t).shape
end

--- The ending of a name that values are written by; other names are refused.
function convert.ending(path)
  local found = require("run.outputs").ending(path)
  if not writers[found] then
    fail("-o %s: expected a name that ends in %s, found %s", path, closed.list(convert.ENDINGS), found)
  end
  return found
end

--- Write what convert.take gave.
function convert.write(path, found)
  local ending, slices = convert.ending(path), found.values.shape[1]
  if ending == ".png" and slices > 1 then
    fail("-o %s: expected one slice for a PNG, found %d: --slice K chooses one", path, slices)
  end
  writers[ending](path, found)
end

return convert

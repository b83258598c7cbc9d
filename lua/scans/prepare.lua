-- SPDX-License-Identifier: Apache-2.0
--- A scan as the picture that a network is given, by a rule of lua/scans/rules.lua, and masks of that picture as masks
-- of the scan. `run`, `evaluate` and whoever else reads scans prepare them here and nowhere else.
local fail = require "support.fail"
local grid = require "scans.grid"
local rules = require "scans.rules"

local prepare = {}

--- The names that a rule's text may begin with, and what reads such a text: lua/scans/rules.lua.
prepare.names, prepare.parse = rules.names, rules.parse

-- MONAI's transforms in MSA's BTCV loader: mm to the right, to the front, up; foreground is above this value.
local BTCV_SPACING, BTCV_FOREGROUND = { 1.5, 1.5, 2.0 }, -175

local AS_IT_IS = { low = -math.huge, high = math.huge, from = 0, over = 1, times = 1 }

-- A rule given as a text or as rules.parse gave it.
local function checked(rule)
  if type(rule) == "table" and rule.unit then return rule end
  local parsed, problem = rules.parse(rule)
  if not parsed then fail("--prepare: %s", problem) end
  return parsed
end

-- What refusals begin with.
local function where_of(scan, rule)
  local name = scan.path or scan.values.name
  return ("%s: --prepare %s"):format(name ~= "" and name or scan.format or "image", rule.text)
end

-- The values' meaning for msagen.intensity.
local function volume_of(scan)
  return { stored = scan.values, slope = scan.slope or 1, intercept = scan.intercept or 0 }
end

-- The bytes of rules that compute nothing: u8 [N,H,W], or [N,H,W,3].
local function bytes_of(scan, rule, where)
  if scan.colour then return scan.values end
  if rule.source == "grey" then
    if scan.grey then return (scan:grey()) end
    if scan.values.dtype == "u8" then return scan.values end
    fail("%s: expected a format that says how its values are shown, such as DICOM, found %s of %s: choose another rule",
      where, scan.format or "a file", scan.values.dtype)
  end
  if scan.values.dtype ~= "u8" then
    fail("%s: expected bytes, found %s: choose a rule that makes bytes of them", where, scan.values.dtype)
  end
  return scan.values
end

-- Lines about what a person should know of the values.
local function notes_of(rule, range)
  local notes = {}
  local function note(format, ...) notes[#notes + 1] = format:format(...) end
  if range.nans > 0 then
    note("%d voxels are no numbers (NaN): they count in no statistic, and are black", range.nans)
  end
  if range.infinite > 0 then note("%d voxels are infinite: they count in no statistic", range.infinite) end
  if range.counted > 0 and range.low == range.high then
    note("all voxels have the value %.14g: the picture shows nothing", range.low)
  elseif rule.name == "medsam-mr" and not (range.high > 0) then
    note("no voxel is above 0, and %s looks at no others: the picture is black", rule.name)
  end
  return notes
end

-- The grid of a rule that has one, or nil.
local function grid_of(scan, rule, where)
  if not rule.grid then
    grid.check(scan, where)
    return nil
  end
  if rule.axes then return grid.turned(scan, rule.axes, where) end
  local box = require("msagen.intensity").box(volume_of(scan), BTCV_FOREGROUND)
  if not box then
    fail("%s: expected a voxel above %d HU, found none: nothing is left of the volume", where, BTCV_FOREGROUND)
  end
  return grid.ras(scan, box, BTCV_SPACING, where)
end

-- How a scan is prepared: { volume, scaling, picture = its scaling, grid, notes }.
local function plan(scan, rule, where)
  if scan.colour and (rule.axes or not rule.source) then
    fail("%s: expected a scan of one value for each voxel, found colour: --prepare none takes it as it is", where)
  end
  local on = grid_of(scan, rule, where)
  if rule.source then
    return { volume = { stored = bytes_of(scan, rule, where) }, scaling = AS_IT_IS, picture = AS_IT_IS, grid = on,
      notes = {} }
  end
  local volume = volume_of(scan)
  local scaling, range, picture = rule.scaling(rule.numbers, volume)
  range = range or require("msagen.intensity").range(volume, false)
  return { volume = volume, scaling = scaling, picture = picture or scaling, grid = on, notes = notes_of(rule, range) }
end

-- What is known of a prepared scan.
local function facts(scan, p)
  return { notes = p.notes, spacing = (p.grid or scan).spacing, place = (p.grid or scan).place }
end

local function same(mask) return mask end

-- A mask of the picture's grid on the scan's own: the nearest, and 0 beyond the crop.
local function back_to(on)
  return function(mask)
    local shape = mask.shape
    if #shape ~= 3 or shape[1] ~= on.shape[1] or shape[2] ~= on.shape[2] or shape[3] ~= on.shape[3] then
      fail("mask: expected the prepared picture's %d x %d x %d, found %s", on.shape[1], on.shape[2], on.shape[3],
        table.concat(shape, " x "))
    end
    return require("msagen.intensity").nearest(mask, on.back)
  end
end

--- The rule for a scan where nobody has said one: bytes and colours as they are, and where a format has a display rule
-- that; else nil and what to do.
function prepare.default(scan)
  if scan.colour or scan.values.dtype == "u8" and not scan.grey then return rules.parse "none" end
  if scan.grey then return rules.parse "grey" end
  return nil, ("expected --prepare RULE for values of %s, found none: a window for CT, such as --prepare abdomen, or "
    .. "--prepare percentile:0.5/99.5"):format(scan.values.dtype)
end

--- Prepare a scan.
-- @param rule a text, or what prepare.parse gave
-- @return u8 [N',H',W',3]; function(u8 [N',H',W']) -> u8 [N,H,W], which brings a mask to the scan's own grid; {
--   notes = lines that a person should know, spacing = mm of the picture's axes or nil, place = where it lies, as a
--   scan's place, or nil }
function prepare.apply(scan, rule)
  rule = checked(rule)
  local p = plan(scan, rule, where_of(scan, rule))
  if scan.colour then return p.volume.stored, same, facts(scan, p) end
  local picture = require("msagen.intensity").picture(p.volume, p.picture, p.grid and p.grid.forth, rule.unit)
  return picture, p.grid and back_to(p.grid) or same, facts(scan, p)
end

--- The numbers that a rule makes, before they are rounded to bytes: f64 [N',H',W'] (of colours [N,H,W,3]), and the
-- third result of prepare.apply.
function prepare.scaled(scan, rule)
  rule = checked(rule)
  local p = plan(scan, rule, where_of(scan, rule))
  return require("msagen.intensity").numbers(p.volume, p.scaling, p.grid and p.grid.forth), facts(scan, p)
end

--- A scan of labels on the grid of the prepared picture of another scan: each voxel's nearest, never between two.
-- @param like the image's scan, which the crop and the axes follow from
-- @return [N',H',W'] of the labels' type; where the file scales its values f64
function prepare.labels(labels, rule, like)
  rule = checked(rule)
  local where = where_of(labels, rule)
  local a, b = labels.values.shape, like.values.shape
  if labels.colour or a[1] ~= b[1] or a[2] ~= b[2] or a[3] ~= b[3] then
    fail("%s: expected labels of the image's %d x %d x %d voxels, found %s", where, b[1], b[2], b[3],
      table.concat(a, " x "))
  end
  local values, volume = labels.values, volume_of(labels)
  if volume.slope ~= 1 or volume.intercept ~= 0 then
    values = require("msagen.intensity").numbers(volume, AS_IT_IS)
  end
  if not rule.grid then return values end
  local off, spacing = grid.distance(labels, like), like.spacing or {}
  local least = math.min(spacing[1] or 1, spacing[2] or 1, spacing[3] or 1)
  if off and not (off < least / 2) then
    fail("%s: expected labels where the image's voxels lie, found them up to %.3g mm away", where, off)
  end
  local on = grid_of(like, rule, where_of(like, rule))
  return require("msagen.intensity").nearest(values, on.forth)
end

return prepare

-- SPDX-License-Identifier: Apache-2.0
--- Which files of a folder are one series, and in which order they are a volume.
local fail = require "support.fail"
local place = require "scans.dicom.place"

local series = {}

local RANK = { u1 = 1, i1 = 1, i2 = 2, i4 = 3, i8 = 4 }
local WIDER = { "i2", "i2", "i4", "i8" }

--- NPY's type that holds the values of all.
function series.type_of(slices)
  local kind = slices[1].facts.type
  for _, slice in ipairs(slices) do
    local other = slice.facts.type
    if other ~= kind then
      local rank = math.max(RANK[kind], RANK[other])
      kind = rank == 1 and WIDER[1] or rank == RANK[other] and other or kind
    end
  end
  return kind
end

-- Slices by their series: a list of lists, the longest first.
local function grouped(slices)
  local by, groups = {}, {}
  for _, slice in ipairs(slices) do
    local id = slice.facts.series
    if not by[id] then
      by[id] = {}
      groups[#groups + 1] = by[id]
    end
    table.insert(by[id], slice)
  end
  table.sort(groups, function(a, b)
    if #a ~= #b then return #a > #b end
    return a[1].name < b[1].name
  end)
  return groups
end

-- The one series of a folder. Single pictures of others, as localizers are, are left out, and a note says so.
local function chosen(path, slices, notes)
  local groups = grouped(slices)
  if #groups == 1 then return groups[1] end
  local left = {}
  for i = 2, #groups do
    if #groups[i] > 1 or #groups[1] == 1 then
      fail("%s: series: expected one, found %d: %s (%d files) is of one, %s (%d files) of another: put each in a "
        .. "folder", path, #groups, groups[1][1].name, #groups[1], groups[i][1].name, #groups[i])
    end
    left[#left + 1] = groups[i][1].name
  end
  notes[#notes + 1] = ("left out, as %s of another series: %s"):format(#left > 1 and "they are" or "it is",
    table.concat(left, ", "))
  return groups[1]
end

-- Refuse slices that do not fit together.
local function check(path, slices)
  local first = slices[1]
  for _, slice in ipairs(slices) do
    local a, b = first.facts, slice.facts
    if b.frames ~= 1 then
      fail("%s: series: expected one frame a file, found %d in %s: give that file alone", path, b.frames, slice.name)
    end
    if a.rows ~= b.rows or a.columns ~= b.columns then
      fail("%s: series: expected slices of one size, found %dx%d in %s, %dx%d in %s", path, a.columns, a.rows,
        first.name, b.columns, b.rows, slice.name)
    end
    if a.colour ~= b.colour or a.palette ~= b.palette then
      fail("%s: series: expected all grey or all colour, found %s in %s, %s in %s", path, a.photometric, first.name,
        b.photometric, slice.name)
    end
    for i = 1, 2 do
      local x, y = a.spacing[i], b.spacing[i]
      if (x == nil) ~= (y == nil) or x and math.abs(x - y) > 1e-3 * x then
        fail("%s: series: expected one pixel spacing, found others in %s and %s", path, first.name, slice.name)
      end
    end
  end
end

-- By InstanceNumber, for pictures that have no place in a patient.
local function by_number(path, slices, notes)
  local seen = {}
  for _, slice in ipairs(slices) do
    local number = slice.facts.instance
    if math.type(number) == nil then
      fail("%s: series: expected ImagePositionPatient or InstanceNumber, which order its slices, found neither in %s",
        path, slice.name)
    end
    if seen[number] then
      fail("%s: series: expected one slice for each InstanceNumber, found %d in %s and %s", path, math.tointeger(number)
        or 0, seen[number], slice.name)
    end
    seen[number] = slice.name
  end
  table.sort(slices, function(a, b) return a.facts.instance < b.facts.instance end)
  notes[#notes + 1] = "no positions: slices in the order of InstanceNumber, their distance is unknown"
  return slices
end

-- Along the normal. @return slices, distance in mm or nil
local function by_position(path, slices, uneven, notes)
  local orientation = slices[1].facts.orientations[1]
  local normal = place.normal(orientation)
  if not normal then
    fail("%s: series: ImageOrientationPatient of %s: expected two directions at right angles", path, slices[1].name)
  end
  for _, slice in ipairs(slices) do
    if not place.alike(orientation, slice.facts.orientations[1]) then
      fail("%s: series: expected slices that are parallel, found %s and %s turned", path, slices[1].name, slice.name)
    end
    slice.along = place.along(normal, slice.facts.positions[1])
  end
  table.sort(slices, function(a, b)
    if a.along ~= b.along then return a.along < b.along end
    return a.name < b.name
  end)
  local distances = {}
  for i, slice in ipairs(slices) do distances[i] = slice.along end
  local step, odd = place.step(distances)
  if odd then
    if not uneven then place.refuse(path, odd, function(i) return slices[i].name end) end
    notes[#notes + 1] = "its slices are not evenly spaced: their distance is unknown"
  elseif place.sheared(slices[1].facts.positions[1], slices[#slices].facts.positions[1], normal) then
    notes[#notes + 1] = "its slices are shifted against each other (a tilted gantry): the volume is sheared"
  end
  return slices, step
end

--- The files of a folder that are a volume, in order.
-- @param slices array of { name =, path =, facts = }
-- @param uneven true: positions may be uneven
-- @return slices, distance in mm or nil
function series.ordered(path, slices, uneven, notes)
  slices = chosen(path, slices, notes)
  check(path, slices)
  local placed = 0
  for _, slice in ipairs(slices) do
    local facts = slice.facts
    if #facts.positions == 1 and #facts.positions[1] == 3 and #facts.orientations == 1
      and #facts.orientations[1] == 6 then
      placed = placed + 1
    end
  end
  if #slices == 1 then return slices end
  if placed == 0 then return by_number(path, slices, notes) end
  if placed < #slices then
    fail("%s: series: expected a position for every slice, found %d of %d without", path, #slices - placed, #slices)
  end
  return by_position(path, slices, uneven, notes)
end

return series

-- SPDX-License-Identifier: Apache-2.0
--- Where slices lie in the patient: order, distances, and the affine to RAS+ millimetres (PS3.3 C.7.6.2.1).
local fail = require "support.fail"

local place = {}

local SAME_MM = 1e-3 -- positions that are closer are one
local UNEVEN = 0.02 -- of the usual distance between slices
local TURNED = 1e-3 -- of direction cosines

local function dot(a, b) return a[1] * b[1] + a[2] * b[2] + a[3] * b[3] end
local function minus(a, b) return { a[1] - b[1], a[2] - b[2], a[3] - b[3] } end
local function length(a) return math.sqrt(dot(a, a)) end

--- The normal of a slice: along its rows times down its columns; nil where they are no directions.
function place.normal(orientation)
  local x = { table.unpack(orientation, 1, 3) }
  local y = { table.unpack(orientation, 4, 6) }
  local n = { x[2] * y[3] - x[3] * y[2], x[3] * y[1] - x[1] * y[3], x[1] * y[2] - x[2] * y[1] }
  local size = length(n)
  if not (size > 0.9 and size < 1.1) then return nil end
  return { n[1] / size, n[2] / size, n[3] / size }
end

--- Whether two orientations are one.
function place.alike(a, b)
  for i = 1, 6 do
    if math.abs(a[i] - b[i]) > TURNED then return false end
  end
  return true
end

--- How far along a normal a position is, in mm.
function place.along(normal, position) return dot(normal, position) end

-- The middle of a list of numbers.
local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

--- The one distance of slices, given how far along the normal each is, ascending or descending.
-- @return mm, nil; or nil, { first = number of the slice before the odd step, step =, usual = }
function place.step(distances)
  local steps = {}
  for i = 2, #distances do steps[#steps + 1] = distances[i] - distances[i - 1] end
  if #steps == 0 then return nil end
  local usual = median(steps)
  for i, step in ipairs(steps) do
    if math.abs(step) < SAME_MM then return nil, { first = i, step = 0, usual = usual } end
  end
  for i, step in ipairs(steps) do
    if math.abs(step - usual) > UNEVEN * math.abs(usual) then
      return nil, { first = i, step = step, usual = usual }
    end
  end
  return (distances[#distances] - distances[1]) / #steps
end

--- Refuse slices that lie unevenly. @param name function(number of a slice) -> what a person calls it
function place.refuse(path, odd, name)
  if odd.step == 0 then
    fail("%s: series: expected one slice at each position, found %s and %s at the same: take one of them away", path,
      name(odd.first), name(odd.first + 1))
  end
  fail("%s: series: expected slices %.4g mm apart, found %.4g mm between %s and %s: %s", path, math.abs(odd.usual),
    math.abs(odd.step), name(odd.first), name(odd.first + 1),
    math.abs(odd.step) > math.abs(odd.usual) * 1.5 and "a slice is missing" or "they do not form an even volume")
end

--- The affine of a volume [N,H,W] whose axes are column, row and slice, in RAS+ mm; nil where something is unknown.
-- @param spacing { N, H, W } in mm
function place.affine(first, last, count, orientation, spacing)
  if not (first and orientation and spacing and spacing[2] and spacing[3]) then return nil end
  local normal = place.normal(orientation)
  if not normal then return nil end
  local step
  if count > 1 and last then
    step = minus(last, first)
    for i = 1, 3 do step[i] = step[i] / (count - 1) end
  else
    local thick = spacing[1] or 1
    step = { normal[1] * thick, normal[2] * thick, normal[3] * thick }
  end
  local rows = {}
  for i = 1, 3 do
    local sign = i < 3 and -1 or 1 -- DICOM's x and y grow to left and back
    rows[i] = { sign * orientation[i] * spacing[3], sign * orientation[i + 3] * spacing[2], sign * step[i],
      sign * first[i] }
  end
  rows[4] = { 0, 0, 0, 1 }
  return rows
end

--- Whether the way from the first to the last slice leaves the normal by more than a degree: a tilted gantry.
function place.sheared(first, last, normal)
  local way = minus(last, first)
  return length(way) > SAME_MM and math.abs(dot(way, normal)) < length(way) * math.cos(math.rad(1))
end

return place

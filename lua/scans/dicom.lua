-- SPDX-License-Identifier: Apache-2.0
--- DICOM files, and folders that are one series, as scans.
local display = require "msagen.display"
local fail = require "support.fail"
local grey = require "scans.dicom.grey"
local helper = require "scans.dicom.helper"
local place = require "scans.dicom.place"
local recognise = require "scans.dicom.recognise"
local series = require "scans.dicom.series"
local sys = require "msagen.sys"

local dicom = {}

--- Whether msagen was built with what reads DICOM.
function dicom.available() return helper.path() ~= nil end

--- Whether a path leads to a DICOM file, or to a folder that holds one.
function dicom.is_dicom(path)
  if not sys.isdir(path) then return recognise.file(path) end
  for _, name in ipairs(sys.list(path)) do
    if recognise.file(path .. "/" .. name) then return true end
  end
  return false
end

local function add(list, more)
  for _, one in ipairs(more) do list[#list + 1] = one end
end

-- The stored values and their rules as values, slope and intercept: where one scale does not do for all slices, values
-- become modality values.
local function put_values(scan, stored, rules, notes)
  scan.values, scan.stored = stored, stored
  if grey.one_scale(rules) then
    scan.slope, scan.intercept = rules[1].slope, rules[1].intercept
    return
  end
  scan.values, scan.slope, scan.intercept = display.modality(stored, rules), 1, 0
  notes[#notes + 1] = rules[1].table and "ModalityLUTSequence: its values are those of the table"
    or "slices have rescalings of their own: its values are rescaled"
end

-- Slice `frame` of tensors [N,...], where it is said.
local function one_of(t, frame) return frame and t:slice(1, frame, 1) or t end

-- A list for each slice, or one for all: that of slice `frame`.
local function rules_of(rules, frame)
  return frame and { rules[#rules == 1 and 1 or frame + 1] } or rules
end

-- The scan of grey pixels. @param frame of `stored` that is meant, or nil
local function of_grey(facts, stored, rules, padding, frame)
  local notes = {}
  grey.complete_with_range(rules, stored, padding)
  stored, rules = one_of(stored, frame), rules_of(rules, frame)
  local scan = { format = "dicom", colour = false, notes = notes, orientation = 1 }
  put_values(scan, stored, rules, notes)
  scan.grey = function() return display.grey(stored, rules) end
  scan.modality = facts.modality
  return scan
end

-- The scan of colour, or of a palette: its colours, and its indices as what is stored.
local function of_colour(facts, values, rgb)
  return { format = "dicom", colour = true, values = rgb or values, stored = rgb and values or nil, slope = 1,
    intercept = 0, notes = {}, orientation = 1, modality = facts.modality }
end

-- Spacing, and place in the patient. @param first, last positions  @param step mm between slices, or nil
local function put_place(scan, facts, first, last, step)
  local shape = scan.values.shape
  local row, column = facts.spacing[1], facts.spacing[2]
  if row or step then
    scan.spacing = { step and math.abs(step) or false, row or false, column or false }
  end
  local orientation = facts.orientations[1]
  if not first or #first ~= 3 or #facts.orientations ~= 1 or #orientation ~= 6 then return end
  local affine = place.affine(first, last, shape[1], orientation, scan.spacing)
  if not affine or (shape[1] > 1 and not step) then return end
  scan.place = { affine = affine, shape = { shape[3], shape[2], shape[1] },
    axes = { { axis = 3, flipped = false }, { axis = 2, flipped = false }, { axis = 1, flipped = false } } }
end

-- Of the frames of one file: mm between them, or nil.
local function frame_step(facts)
  if facts.frames == 1 then return nil end
  local normal = #facts.orientations == 1 and #facts.orientations[1] == 6 and place.normal(facts.orientations[1])
  if normal and #facts.positions == facts.frames then
    local distances = {}
    for i, position in ipairs(facts.positions) do
      if #position ~= 3 then return nil end
      distances[i] = place.along(normal, position)
    end
    return (place.step(distances))
  end
  if #facts.steps == facts.frames then return (place.step(facts.steps)) end
end

local function check_frame(path, frame, frames, what)
  if frame and not (math.type(frame) == "integer" and frame >= 0 and frame < frames) then
    fail("%s: --frame: expected 0 to %d, a %s of it, found %s", path, frames - 1, what, tostring(frame))
  end
end

-- Whether a frame can be had without the others: not where it is shown by the least and largest value of all.
local function stands_alone(path, frame)
  local facts = helper.facts({ path })[1]
  if facts.error then fail("%s: DICOM: %s", path, facts.error) end
  check_frame(path, frame, facts.frames, "frame")
  return facts.colour or facts.palette or grey.complete(grey.rules(facts, facts.frames, {}))
end

local function read_file(path, frame)
  local alone = frame and stands_alone(path, frame)
  local found, values, rgb = helper.pixels({ path }, "-", alone and frame or nil, path)
  local facts, scan = found[1], nil
  if facts.colour or facts.palette then
    scan = of_colour(facts, values, rgb)
  else
    local said = {}
    local rules = grey.rules(facts, facts.frames, said)
    if alone then rules = rules_of(rules, frame) end
    scan = of_grey(facts, values, rules, facts.padding, not alone and frame or nil)
    add(scan.notes, said)
  end
  add(scan.notes, facts.notes)
  local positions = facts.positions
  local first = positions[frame and #positions > 1 and frame + 1 or 1]
  put_place(scan, facts, first, positions[#positions], not frame and frame_step(facts) or nil)
  return scan
end

-- The files of a folder that have pictures, with their facts.
local function slices_of(path, notes)
  local names, others = recognise.folder(path)
  local paths, slices = {}, {}
  for i, name in ipairs(names) do paths[i] = path .. "/" .. name end
  if #paths == 0 then fail("%s: expected a folder of DICOM files, found none in it", path) end
  for i, facts in ipairs(helper.facts(paths)) do
    if facts.error and facts.picture then fail("%s: DICOM: %s", paths[i], facts.error) end
    if facts.error then others = others + 1
    else slices[#slices + 1] = { name = names[i], path = paths[i], facts = facts } end
  end
  if #slices == 0 then fail("%s: expected DICOM files with pictures, found none among %d", path, #names) end
  if others > 0 then
    notes[#notes + 1] = ("%d other file%s in the folder %s left out"):format(others, others > 1 and "s" or "",
      others > 1 and "are" or "is")
  end
  return slices
end

-- Rules of all slices. @return rules, padding: of all, where they agree
local function series_rules(slices, notes)
  local rules, padding = {}, slices[1].facts.padding
  for _, slice in ipairs(slices) do
    local said = {}
    add(rules, grey.rules(slice.facts, 1, said))
    if #said > 0 and #notes == 0 then add(notes, said) end
    if slice.facts.padding[1] ~= padding[1] or slice.facts.padding[2] ~= padding[2] then padding = {} end
  end
  return rules, padding
end

local function read_folder(path, frame, uneven)
  local notes, step = {}, nil
  local slices = slices_of(path, notes)
  if #slices == 1 then
    local scan = read_file(slices[1].path, frame)
    add(scan.notes, notes)
    return scan
  end
  slices, step = series.ordered(path, slices, uneven, notes)
  check_frame(path, frame, #slices, "slice")
  local paths, facts = {}, slices[1].facts
  for i, slice in ipairs(slices) do paths[i] = slice.path end
  local found, values, rgb = helper.pixels(paths, facts.colour and "-" or series.type_of(slices), nil, path)
  local scan
  if facts.colour or facts.palette then
    scan = of_colour(facts, one_of(values, frame), rgb and one_of(rgb, frame))
  else
    local said = {}
    local rules, padding = series_rules(slices, said)
    scan = of_grey(facts, values, rules, padding, frame)
    add(scan.notes, said)
  end
  add(scan.notes, notes)
  add(scan.notes, found[1].notes)
  scan.files = paths
  local first = slices[frame and frame + 1 or 1].facts.positions[1]
  put_place(scan, facts, first, slices[#slices].facts.positions[1], not frame and step or nil)
  return scan
end

--- Read a file, or a folder that is one series.
-- @param path of a file or a folder
-- @param options table or nil: frame = number of the one frame (of a folder: slice) that is wanted, from 0;
--   uneven = true: take a series whose slices are not evenly spaced
-- @return scan; beside its common fields: stored, the tensor [N,H,W] of what the file stores (of a palette its indices;
--   nil of other colour), from which values differ where one slope does not do for all slices, and modality, "CT" ...
function dicom.read(path, options)
  local frame, uneven = options and options.frame, options and options.uneven
  if sys.isdir(path) then return read_folder(path, frame, uneven) end
  if not recognise.file(path) then fail("%s: expected a DICOM file, found another", path) end
  return read_file(path, frame)
end

return dicom

-- SPDX-License-Identifier: Apache-2.0
--- A CSV file with header image,label and of case, patient, class, prompt, split those that are known; paths are
-- relative to its folder. Rows of one case are its classes. A class is a name, or NAME=VALUE of the mask's values.
local csv = require "evaluate.csv"
local closed = require "support.closed"
local datasets = require "evaluate.datasets"
local fail = require "support.fail"

local layout = {}

local COLUMNS = { image = true, label = true, case = false, patient = false, class = false, prompt = false,
  split = false }

local function class_of(record, where)
  local name, value = (record.class or "inside"):match "^(.-)%s*=%s*([%d+]+)$"
  if not name then return { name = datasets.name(record.class or "inside", where) } end
  local values = {}
  for v in value:gmatch "%d+" do values[#values + 1] = v end
  return datasets.classes({ { name, values } }, where)[1]
end

-- `X,Y[,LABEL] X,Y[,LABEL]` stays a text; anything else is a file.
local function prompt_file(text, base, where)
  if text:match "^[%d.,%s+-]+$" then return nil end
  return datasets.must_exist(text:sub(1, 1) == "/" and text or base .. "/" .. text, where .. ": prompt")
end

-- Add what a row says to its case, a new one or one of rows before.
local function add(record, cases, base, where)
  local function at(path) return path:sub(1, 1) == "/" and path or base .. "/" .. path end
  local name = record.case or datasets.stem(record.image)
  local case = cases[name]
  if not case then
    case = { name = name, patient = record.patient, image = datasets.must_exist(at(record.image), where .. ": image"),
      label = datasets.must_exist(at(record.label), where .. ": label"), classes = {} }
    cases[name], cases[#cases + 1] = case, case
  end
  for field, value in pairs { image = at(record.image), label = at(record.label) } do
    if case[field] ~= value then
      fail("%s: expected one %s for case %s, found another than in a row before", where, field, name)
    end
  end
  if record.patient ~= nil and case.patient ~= record.patient then
    fail("%s: expected one patient for case %s, found another than in a row before", where, name)
  end
  local class = class_of(record, where .. ": class")
  for _, other in ipairs(case.classes) do
    if other.name == class.name then fail("%s: expected %s of case %s once, found two", where, class.name, name) end
    if not (other.ranges and class.ranges) then
      fail("%s: expected NAME=VALUE for each class of case %s, as they share a mask, found %s", where, name,
        class.ranges and other.name or class.name)
    end
  end
  class.prompt = record.prompt
  class.prompt_file = record.prompt and prompt_file(record.prompt, base, where)
  case.classes[#case.classes + 1] = class
end

--- @param path of the file  @param options of datasets.open
function layout.read(path, options)
  local cases, base, splits = {}, datasets.parent(path), {}
  if options.classes then fail("--classes: expected with folders of images and masks, found a CSV") end
  for _, record in ipairs(csv.read(path, COLUMNS)) do
    if record.split then splits[record.split] = true end
    if not options.split or record.split == options.split then
      add(record, cases, base, ("%s:%d"):format(path, record.line))
    end
  end
  for _, case in ipairs(cases) do
    if case.classes[1].ranges then table.sort(case.classes, datasets.by_value) end
  end
  if options.split and not splits[options.split] then datasets.no_split(options.split, closed.sorted(splits), path) end
  return { cases = cases }
end

return layout

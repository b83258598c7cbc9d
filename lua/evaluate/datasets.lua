-- SPDX-License-Identifier: Apache-2.0
--- Data sets as people have them: their layout recognised, their cases in order of their names.
-- A set is
--   path, layout   as given; the module of lua/evaluate/layouts that read it
--   name           what tables call it: the folder's, of a CSV with its own
--   cases          a list, sorted by name, of { name, patient, image = path, label = path, classes, bytes = size of the
--                  image's file }
--   notes          lines that a person should know
-- and the classes of a case are a list of { name, ranges = { {low, high}... } of the label's values that are inside, or
-- nil where the mask has one structure alone, prompt = text of the CSV or nil }.
local closed = require "support.closed"
local fail = require "support.fail"
local folder = require "support.folder"
local sys = require "msagen.sys"

local datasets = {}

local LONGEST = 200 -- bytes of a name
local MAX_LABEL = math.maxinteger >> 32

--- A name of a case, a patient or a class: one line of text, not too long. @param where for the message
function datasets.name(text, where)
  if type(text) ~= "string" or text == "" or #text > LONGEST or text:find "%c" or not utf8.len(text) then
    fail("%s: expected a name in one line of at most %d bytes, found %s", where, LONGEST,
      type(text) == "string" and (text == "" and "an empty text" or (text:sub(1, 60):gsub("[%c\128-\255]", "?")))
      or "a " .. type(text))
  end
  return text
end

--- A path's last part without its ending: ct_7 of imagesTr/ct_7.nii.gz.
function datasets.stem(path)
  local name = path:match "([^/]+)/*$" or path
  return name:match "^(.+)%.nii%.gz$" or name:match "^(.+)%.[%w_]+$" or name
end

--- Names of a folder's files, hidden ones apart.
function datasets.visible(path)
  local names = {}
  for _, name in ipairs(sys.list(path)) do
    if name:sub(1, 1) ~= "." then names[#names + 1] = name end
  end
  return names
end

--- Refuse what is not there. @param where what names it
function datasets.must_exist(path, where)
  if path:find "\0" or not sys.exists(path) then
    fail("%s: expected a file, found none at %s", where, (path:sub(1, 300):gsub("%c", " ")))
  end
  return path
end

-- 2, or [1,2,3]: which values of the label are the class.
local function ranges_of(value, where)
  local ranges = {}
  for i, v in ipairs(type(value) == "table" and value or { value }) do
    local n = math.type(v) and math.tointeger(v) or type(v) == "string" and math.tointeger(tonumber(v))
    if not n or n < 0 or n > MAX_LABEL then
      fail("%s: expected a whole number from 0 to %d, found %s", where, MAX_LABEL,
        type(v) == "table" and "a list" or (tostring(v):sub(1, 60):gsub("%c", " ")))
    end
    ranges[i] = { n, n }
  end
  if #ranges == 0 then fail("%s: expected a value, found none", where) end
  return ranges
end

--- The order of classes: by their first value, of equals by name.
function datasets.by_value(a, b)
  if a.ranges[1][1] ~= b.ranges[1][1] then return a.ranges[1][1] < b.ranges[1][1] end
  return a.name < b.name
end

--- Classes of pairs { name, value or list of values }, by their first value; background, which is 0, is none.
-- @param where for messages: the file and its field
function datasets.classes(pairs_found, where)
  local list, known = {}, {}
  for _, pair in ipairs(pairs_found) do
    local name = datasets.name(pair[1], where)
    local ranges = ranges_of(pair[2], ("%s: %s"):format(where, name))
    if name == "ignore" then
      fail("%s: expected classes and background, found ignore: pixels without truth are not supported", where)
    end
    if known[name] then fail("%s: expected each class once, found %s twice", where, name) end
    known[name] = true
    if not (#ranges == 1 and ranges[1][1] == 0) then list[#list + 1] = { name = name, ranges = ranges } end
  end
  table.sort(list, datasets.by_value)
  if #list == 0 then fail("%s: expected a class beside background, found none", where) end
  return list
end

--- What --classes says: NAME=V or NAME=V+W, separated by commas.
function datasets.classes_option(text)
  local found = {}
  for one in (text .. ","):gmatch "([^,]*)," do
    local name, values = one:match "^%s*(.-)%s*=%s*([%d+]+)%s*$"
    if not name or name == "" then return nil, ("expected NAME=VALUE[,NAME=VALUE...], found %s"):format(text) end
    local list = {}
    for v in values:gmatch "%d+" do list[#list + 1] = v end
    found[#found + 1] = { name, list }
  end
  return datasets.classes(found, "--classes")
end

-- Which layout a path has.
local function layout_of(path)
  local kind = select(2, sys.identity(path)) or nil
  if kind == "file" then return "csv" end
  if kind ~= "folder" then fail("--data %s: expected a folder or a CSV file, found %s", path, kind or "nothing") end
  if not sys.exists(path .. "/dataset.json") then return "folders" end
  local file = path .. "/dataset.json"
  local about = require("msagen.json").decode(sys.read_file(file), file)
  if type(about) ~= "table" then fail("%s: expected an object, found another value", file) end
  if about.channel_names and about.file_ending then return "nnunet", about end
  if about.training then return "decathlon", about end
  fail("%s: expected training (the Decathlon), or channel_names and file_ending (nnU-Net v2), found no such",
    file)
end

-- The image's bytes, of a series those of all its files.
local function bytes_of(path)
  if not sys.isdir(path) then return sys.size(path) or 0 end
  local sum = 0
  for _, name in ipairs(datasets.visible(path)) do sum = sum + (sys.size(path .. "/" .. name) or 0) end
  return sum
end

local function check_cases(set, where)
  if #set.cases == 0 then fail("%s: expected images with masks, found none", where) end
  table.sort(set.cases, function(a, b) return a.name < b.name end)
  for i, case in ipairs(set.cases) do
    datasets.name(case.name, where .. ": case")
    case.patient = datasets.name(case.patient or case.name, ("%s: patient of %s"):format(where, case.name))
    if i > 1 and set.cases[i - 1].name == case.name then
      fail("%s: expected each case once, found %s twice", where, case.name)
    end
    case.bytes = bytes_of(case.image)
  end
end

--- Open a data set.
-- @param options { split, classes = what datasets.classes gives, channel = number from 0, or nil each }
function datasets.open(path, options)
  local layout, about = layout_of(path)
  local set = require("evaluate.layouts." .. layout).read(path, options or {}, about)
  set.path, set.layout, set.notes = path, layout, set.notes or {}
  local real = sys.realpath(path) or path
  set.name = layout == "csv" and datasets.stem(datasets.parent(real)) .. "/" .. datasets.stem(real)
    or real:match "([^/]+)/*$" or "data"
  check_cases(set, "--data " .. path)
  return set
end

--- The names of all classes of a set, in the order in which cases first have them.
function datasets.class_names(set)
  local names, known = {}, {}
  for _, case in ipairs(set.cases) do
    for _, class in ipairs(case.classes) do
      if not known[class.name] then known[class.name], names[#names + 1] = true, class.name end
    end
  end
  return names
end

-- SHA-256 of a file, or of all files of a folder in order.
local function hash_of(path)
  local sha256 = require "msagen.sha256"
  if not sys.isdir(path) then return sha256.file(path) or fail("%s: expected a regular file, found another", path) end
  local lines = {}
  for _, name in ipairs(datasets.visible(path)) do
    lines[#lines + 1] = (sha256.file(path .. "/" .. name) or "none") .. "  " .. name
  end
  return sha256.hex(table.concat(lines, "\n"))
end

local function class_lines(case)
  local lines = {}
  for i, class in ipairs(case.classes) do
    local values = {}
    for r, range in ipairs(class.ranges or {}) do values[r] = ("%d..%d"):format(range[1], range[2]) end
    lines[i] = ("class %s = %s%s"):format(class.name, #values > 0 and table.concat(values, "+") or "inside",
      class.prompt and (" prompt " .. class.prompt) or "")
  end
  return table.concat(lines, "\n")
end

--- A hash of all that a set's cases are made of: names, classes, prompts and the bytes of their files. Paths are no
-- part of it, so a set that was moved is the same.
-- @param show function(done, total), called a case
function datasets.hash(set, show)
  local h, files = require("msagen.sha256").new(), {}
  for i, case in ipairs(set.cases) do
    show(i - 1, #set.cases)
    h:update(("case %s\npatient %s\n"):format(case.name, case.patient))
    local others = {}
    for _, class in ipairs(case.classes) do others[#others + 1] = class.prompt_file end
    for _, path in ipairs { case.image, case.label, table.unpack(others) } do
      files[path] = files[path] or hash_of(path)
      h:update(files[path] .. "\n")
    end
    h:update(class_lines(case) .. "\n")
  end
  return h:hex()
end

--- The names of the layouts, in order.
function datasets.layouts() return folder.modules "evaluate.layouts" end

--- The folder that a path lies in.
function datasets.parent(path) return path:match "^(.*)/[^/]*$" or "." end

--- Refuse a split that a set does not have.
function datasets.no_split(split, names, where)
  fail("--split %s: expected %s, as %s has, found no such split%s", split, closed.list(names), where,
    closed.hint(split, names))
end

return datasets

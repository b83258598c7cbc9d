-- SPDX-License-Identifier: Apache-2.0
--- What an evaluation has done so far, in OUT/journal: each process has a file of its own, its first line says of what
-- model, data and options the others are, and each other line is one finished case. A line begins with the start of its
-- own SHA-256, so that one that was being written when the program was killed is known for what it is.
local closed = require "support.closed"
local fail = require "support.fail"
local json = require "msagen.json"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local journal = {}
journal.__index = journal

local GENERATOR = "msagen evaluate"
local SUM = 16 -- hexadecimal digits
local MAX_BYTES = 1 << 30
local KEPT = { model = "another model", data = "other data", options = "other options" }

local function line_of(value)
  local text = json.encode(value):gsub("\n", " ")
  return ("%s %s\n"):format(sha256.hex(text):sub(1, SUM), text)
end

local function value_of(line)
  local sum, text = line:match "^(%x+) (.*)$"
  if not sum or sha256.hex(text):sub(1, SUM) ~= sum then return nil end
  return json.decode(text, "a finished case")
end

--- The folder of the files.
function journal.folder(out) return out .. "/journal" end

-- The values of a file's whole lines; whether something less than a line follows them.
local function read(path)
  local values, at, number = {}, 1, 0
  local text = sys.read_file(path, MAX_BYTES)
  while at <= #text do
    local last = text:find("\n", at, true)
    local value = last and value_of(text:sub(at, last - 1))
    number = number + 1
    if not value then
      if last and last < #text then
        fail("%s:%d: expected a finished case, found a damaged line: remove the file, its cases are done again", path,
          number)
      end
      return values, true
    end
    values[number], at = value, last + 1
  end
  return values, false
end

-- Refuse the work of another evaluation.
local function check_binding(path, header, binding, out)
  if type(header) ~= "table" or header.generator ~= GENERATOR then
    fail("%s: expected what msagen evaluate wrote, found another file", path)
  end
  for _, field in ipairs { "model", "data", "options" } do
    if header[field] ~= binding[field] then
      fail("-o %s: expected an empty folder or the same evaluation, found the work of one with %s: give another folder,"
        .. " or remove %s", out, KEPT[field], journal.folder(out))
    end
  end
end

-- The files of a folder's work.
local function parts(out)
  local list, at = {}, journal.folder(out)
  for _, name in ipairs(sys.isdir(at) and sys.list(at) or {}) do
    if name:match "^part%-%d+%-of%-%d+%.jsonl$" then list[#list + 1] = at .. "/" .. name end
  end
  return list
end

-- { [case] = its result } of all parts. @param binding nil: whatever model, data and options they are of
local function all(out, binding)
  local results, places = {}, {}
  for _, path in ipairs(parts(out)) do
    local values = read(path)
    if values[2] and binding then check_binding(path, values[1], binding, out) end
    for i = 2, #values do
      local case = type(values[i]) == "table" and values[i].case
      if type(case) ~= "string" then
        fail("%s:%d: expected a finished case, found another value: remove the file, its cases are done again", path, i)
      end
      if results[case] then
        fail("%s: expected each case once, found %s in %s too: remove one of the files, its cases are done again", path,
          case, places[case])
      end
      results[case], places[case] = values[i], path
    end
  end
  return results
end

-- This part's lock, or nil where the file system has none.
local function locked(path)
  local lock = sys.lock(path, false)
  if lock == false then fail("%s: expected no other process at this part, found one", path) end
  return lock
end

--- Open, to go on where an earlier run was stopped.
-- @param out the folder of the evaluation
-- @param shard { rank from 0, count }
-- @param binding { model, data, options }: texts that say of what the results are
-- @return the journal; its `done` is { [case] = result } of all parts
function journal.open(out, shard, binding)
  sys.mkdir_p(journal.folder(out))
  local path = ("%s/part-%d-of-%d.jsonl"):format(journal.folder(out), shard.rank + 1, shard.count)
  local header = { generator = GENERATOR, model = binding.model, data = binding.data, options = binding.options }
  if not sys.exists(path) then sys.write_file(path, line_of(header)) end
  local lock = locked(path)
  local ok, done, values, torn = pcall(function() return all(out, binding), read(path) end)
  if not ok then
    if lock then sys.unlock(lock) end
    error(done, 0)
  end
  if torn or not values[2] then -- where nothing was done it may have been of anything
    local lines = { line_of(values[2] and values[1] or header) }
    for i = 2, #values do lines[i] = line_of(values[i]) end
    sys.write_file(path, table.concat(lines)) -- another file of the same name
    local before = lock
    lock = locked(path)
    if before then sys.unlock(before) end
  end
  return setmetatable({ path = path, done = done, lock = lock }, journal)
end

--- Note a finished case; when this returns it is on the disk.
-- @param result { case = name, ... }: plain data
function journal:add(result)
  local file, message = io.open(self.path, "ab")
  if not file then fail("%s: cannot be written: %s", self.path, (message:gsub("^.*: ", ""))) end
  local line = line_of(result)
  file:setvbuf("full", #line + 1)
  local written = file:write(line)
  local closed_well, why = file:close()
  if not written or not closed_well then fail("%s: cannot be written: %s", self.path, tostring(why)) end
  sys.sync(self.path)
  self.done[result.case] = result
end

--- A file without a case, and a folder without a file, are taken away.
function journal:close()
  if not next(self.done) then
    os.remove(self.path)
    local folder = self.path:match "^(.*)/[^/]*$"
    if sys.rmdir(folder) then sys.rmdir(folder:match "^(.*)/[^/]*$") end
  end
  if self.lock then sys.unlock(self.lock) end
end

--- All results in a folder, in no order.
function journal.everything(out)
  local list = {}
  for _, result in pairs(all(out)) do list[#list + 1] = result end
  return list
end

--- Whether a case is noted as done in any part, also of a process that still writes.
function journal.has(out, name) return all(out)[name] ~= nil end

--- The results of all parts, in the order of the cases; one that is missing, of no case, or there twice is an error.
function journal.collect(out, binding, cases)
  local results, list, missing = all(out, binding), {}, {}
  for i, case in ipairs(cases) do
    list[i] = results[case.name]
    if not list[i] then missing[#missing + 1] = case.name end
    results[case.name] = nil
  end
  if #missing > 0 then
    fail("-o %s: expected all %d cases, found %d missing (the first: %s): run msagen evaluate without --merge to do "
      .. "them", out, #cases, #missing, missing[1])
  end
  local other = next(results)
  if other then fail("-o %s: expected cases of the data set alone, found %s", out, closed.sorted(results)[1]) end
  return list
end

return journal

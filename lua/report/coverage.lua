-- SPDX-License-Identifier: Apache-2.0
--- Coverage of a build's library by its own test program: statements, branches and, for MC/DC, the conditions of each
-- decision, as clang's source-based coverage counts them. What was never reached is held against records
-- (lua/report/unreached.lua).
-- A statement is one of clang's code regions. An inline function of a header that nothing in the build calls has no
-- code and is left out, and so is a condition that is a constant of the build.
local c_text = require "report.c_text"
local instrumented = require "report.instrumented"
local library = require "report.library"
local sys = require "msagen.sys"

local coverage = {}

local KINDS = { "statement", "branch", "condition" }
coverage.KINDS = KINDS

-- ---- what llvm-cov says ----

local function base(path) return path:match "[^/]*$" end

-- Where a record's first four numbers are, as a key that sorts by place.
local function place(file, r) return ("%s %06d %04d %06d %04d"):format(file, r[1], r[2], r[3], r[4]) end

local function item_of(items, key, file, r, kind)
  local item = items[key]
  if not item then
    item = { key = key, file = file, line = r[1], column = r[2], last = r[3], last_column = r[4], kind = kind,
      count = 0 }
    items[key] = item
  end
  return item
end

-- Conditions of a decision that no pair shows to matter, but those that are constants: they have no branch.
local function missing_conditions(decision, branches)
  local inside, seen = 0, {}
  for _, b in ipairs(branches) do
    local key = b[1] * 10000 + b[2]
    local after = b[1] > decision[1] or b[1] == decision[1] and b[2] >= decision[2]
    local before = b[3] < decision[3] or b[3] == decision[3] and b[4] <= decision[4]
    if after and before and not seen[key] then inside, seen[key] = inside + 1, true end
  end
  return inside
end

local function list_of(record)
  for _, value in ipairs(record) do
    if type(value) == "table" then return value end
  end
end

-- Statements, branches (true and false), and decisions of a function's record, added to `items`.
local function add(items, record, ours)
  local files, branches = record.filenames, record.branches or {}
  local function file_of(id) return base(files[id + 1]) end
  for _, r in ipairs(record.regions) do
    local file = file_of(r[6])
    if r[8] == 0 and ours[file] then
      local item = item_of(items, place(file, r) .. " s", file, r, "statement")
      item.count = item.count + r[5]
    end
  end
  for _, b in ipairs(branches) do
    local file = file_of(b[7])
    for i, outcome in ipairs(ours[file] and { "true", "false" } or {}) do
      local item = item_of(items, place(file, b) .. " " .. outcome, file, b, "branch")
      item.outcome, item.count = outcome, item.count + b[4 + i]
    end
  end
  for _, d in ipairs(record.mcdc_records or {}) do
    local file = file_of(math.type(d[5]) == "integer" and d[5] or 0)
    if ours[file] then
      local item = item_of(items, place(file, d) .. " c", file, d, "condition")
      item.shown = item.shown or {}
      for i, shown in ipairs(list_of(d)) do item.shown[i] = item.shown[i] or shown end
      item.varying = missing_conditions(d, branches)
    end
  end
end

-- ---- functions without code ----

-- Inline functions of headers that nothing calls, directly or by way of others: file -> name -> true.
local function unused(read)
  local found = {}
  local function mentions(text, name) return text:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil end
  local function called(file, f)
    for other, text in pairs(read) do
      for _, g in ipairs(text.functions) do
        local gone = found[other] and found[other][g.name]
        if not gone and not (other == file and g.name == f.name) and mentions(g.code, f.name) then return true end
      end
      for _, m in ipairs(text.macros) do
        if mentions(m.value, f.name) then return true end
      end
    end
    return false
  end
  local before, count = -1, 0
  while count ~= before do
    before = count
    for file, text in pairs(read) do
      for _, f in ipairs(file:find "%.h$" and text.functions or {}) do
        if not (found[file] and found[file][f.name]) and not called(file, f) then
          found[file] = found[file] or {}
          found[file][f.name], count = true, count + 1
        end
      end
    end
  end
  return found, count
end

-- ---- what was not reached ----

local function within(item, region)
  if item.file ~= region.file then return false end
  local after = item.line > region.line or item.line == region.line and item.column >= region.column
  local before = item.last < region.last or item.last == region.last and item.last_column <= region.last_column
  return after and before and item ~= region
end

local function missed(item)
  if item.kind ~= "condition" then return item.count == 0 and 1 or 0 end
  local count, shown = item.varying, 0
  for _, one in ipairs(item.shown) do shown = shown + (one and 1 or 0) end
  return math.max(0, count - shown)
end

local function total(item) return item.kind == "condition" and item.varying or 1 end

local function record_of(item, records)
  for _, record in ipairs(records) do
    if library.any(item.file, record.files) and library.any(item["function"], record.functions)
      and item.text:find(record.text, 1, true) then return record end
  end
end

-- What is within a region that was not reached follows from it, and that from the branch before it that was not taken.
local function heads(list, records)
  local found, region, branch = {}, nil, nil
  for _, item in ipairs(list) do
    if region and within(item, region) then
      region.follow = (region.follow or 0) + missed(item)
    else
      item.record = record_of(item, records)
      if item.kind == "statement" then
        region = item
        if not item.record and branch and branch["function"] == item["function"] then
          item.record, item.after = branch.record, branch
        end
      elseif item.kind == "branch" then branch = item end
      found[#found + 1] = item
    end
  end
  return found
end

-- Read the folder's files. @return file -> c_text's reading, lines and owners
local function texts_of(work, ours)
  local read = {}
  for file in pairs(ours) do
    local text = sys.read_file(work .. "/" .. file)
    local one = c_text.read(text)
    one.lines, one.owner = {}, library.owners(text)
    for line in (text .. "\n"):gmatch "(.-)\n" do one.lines[#one.lines + 1] = line:match "^%s*(.-)%s*$" end
    read[file] = one
  end
  return read
end

local function files_of(folder, work)
  local ours = {}
  local driver = folder.prefix .. "_coverage"
  for _, name in ipairs(sys.list(work)) do
    if name:match "%.[ch]$" and name:sub(1, #driver) ~= driver then ours[name] = true end
  end
  return ours
end

-- Per file, and in all: { statement = { all, reached }, ... }
local function counted(list)
  local by_file, whole = {}, {}
  for _, kind in ipairs(KINDS) do whole[kind] = { all = 0, reached = 0 } end
  for _, item in ipairs(list) do
    local of = by_file[item.file] or {}
    by_file[item.file] = of
    for _, sums in ipairs { of, whole } do
      local one = sums[item.kind] or { all = 0, reached = 0 }
      sums[item.kind] = one
      one.all, one.reached = one.all + total(item), one.reached + total(item) - missed(item)
    end
  end
  return by_file, whole
end

--- Measure a folder (lua/run/folder).
-- @param work an empty folder  @param records instead of lua/report/unreached.lua, or nil
-- @return { files = file -> kind -> { all, reached }, whole = kind -> the same, unreached = {{ file, line, column,
--   function, kind, outcome, text, record = or nil, follow = what else follows from it }...}, unexplained = {those of
--   them without a record...}, unused = how many inline functions have no code, calls, wrong, flags: lua/report/
--   instrumented.lua }
function coverage.collect(folder, work, records)
  records = records or require "report.unreached"
  local functions, report = instrumented.measure(folder, work)
  local ours, items = files_of(folder, work), {}
  for _, record in ipairs(functions) do add(items, record, ours) end
  local read = texts_of(work, ours)
  local without, gone = unused(read)
  local list = {}
  for _, item in pairs(items) do
    local owner = read[item.file].owner[item.line]
    item["function"], item.text = owner, read[item.file].lines[item.line]
    if not (owner and without[item.file] and without[item.file][owner]) then list[#list + 1] = item end
  end
  table.sort(list, function(a, b) return a.key < b.key end)
  local missing = {}
  for _, item in ipairs(list) do
    if missed(item) > 0 then missing[#missing + 1] = item end
  end
  local plain = require("emit.prefix").plain(folder.prefix)
  for _, item in ipairs(list) do
    item.file, item.text = plain(item.file), plain(item.text)
    item["function"] = item["function"] and plain(item["function"])
  end
  report.unused, report.unexplained = gone, {}
  report.files, report.whole = counted(list)
  report.unreached = heads(missing, records)
  for _, item in ipairs(report.unreached) do
    if not item.record then report.unexplained[#report.unexplained + 1] = item end
  end
  return report
end

return coverage

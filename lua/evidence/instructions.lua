-- SPDX-License-Identifier: Apache-2.0
--- An upper bound of the machine instructions of one call of each function of the interface, of the library as it is
-- compiled. A machine loop is the C loop whose test it has, by the compiler's line numbers; it passes no more often
-- than that one runs, through all calls together, and each pass takes at most the longest way through it.
local closed = require "support.closed"
local csv = require "evaluate.csv"
local flow = require "report.flow"
local stated = require "evidence.stated"
local sys = require "msagen.sys"
local tools = require "report.tools"
local trips = require "evidence.trips"

local instructions = {}

local function plain(name) return name:match "^[%w_]+" end

-- ---- lines ----

-- What stands where: address -> frames, the innermost first, { name, file, line }.
local function lines_of(report, functions)
  local asked = {}
  for _, f in ipairs(functions) do
    for _, block in ipairs(f.blocks or {}) do
      for _, one in ipairs(block.list) do asked[#asked + 1] = ("%x"):format(one.address) end
    end
  end
  local path = report.image .. ".addresses"
  sys.write_file(path, table.concat(asked, "\n") .. "\n")
  local text = tools.must({ report.tools .. "addr2line", "-a", "-i", "-f", "-e", report.image, "@" .. path },
    "the compiler's binutils", path)
  local at, frames, name = {}, nil, nil
  for line in tools.lines(text) do
    local address = line:match "^0x(%x+)$"
    local file, number = line:match "([^/]*):(%d+)"
    if address then
      frames, name = {}, nil
      at[tonumber(address, 16)] = frames
    elseif not name then name = plain(line) or "?"
    else
      frames[#frames + 1] = { name = name, file = file or "?", line = math.tointeger(tonumber(number)) or 0 }
      name = nil
    end
  end
  return at
end

-- ---- which C loop ----

local Join = {}
Join.__index = Join

-- A loop whose test stands in a line of a function.
function Join:loop_at(key, line)
  for _, loop in ipairs(self.trips.loops(key)) do
    if line >= loop.line and line <= loop.last or line == loop.test then return loop end
  end
end

-- The innermost loop around a line.
function Join:around(key, line)
  local best
  for _, loop in ipairs(self.trips.loops(key)) do
    if line >= loop.line and line <= loop.ends then best = loop end
  end
  return best
end

-- A memory function that the compiler has made a loop.
function Join:memory(key, line)
  local name = "bytes" .. line
  return self.trips.count(key).inside[name] and { index = name }
end

-- Counted loops that an instruction may be of. @param find function(key, line) -> loop or nil
-- @return the loop's name in the counts, function by function: context and number
function Join:named(frames, root, find)
  local context, key = root .. ">", root
  local names = {}
  for i = #frames, 1, -1 do
    local frame = frames[i]
    local loop = find(self, key, frame.line)
    if loop then names[#names + 1] = context .. loop.index end
    local next = frames[i - 1]
    if next then
      local target = self.of.find(self.of.by_key[key].file, next.name)
      if not target then break end
      context, key = ("%s%d:%s>"):format(context, frame.line, target.key), target.key
    end
  end
  return names[#names]
end

-- The C loops of a machine loop, as a set: of its tests' lines; where none of them is a test, those that its
-- instructions are tests of, then those that they stand in.
function Join:loops_of(loop, root)
  local set, any = {}, false
  local function try(one, find)
    local name = self:named(self.lines[one.address] or {}, root, find)
    if name then set[name], any = true, true end
    return name
  end
  if loop.sure and try(loop.sure, self.around) then return set end
  for _, list in ipairs { loop.exits, loop.latches } do
    for _, block in ipairs(list) do
      local last = block.list[#block.list]
      if last.kind == "branch" or #block.to > 1 then
        for i = #block.list, math.max(1, #block.list - 4), -1 do
          if try(block.list[i], self.loop_at) then break end
        end
      end
    end
  end
  for _, find in ipairs { self.loop_at, self.around, self.memory } do
    for _, block in ipairs(any and {} or loop.own) do
      for _, one in ipairs(block.list) do try(one, find) end
    end
  end
  return set
end

-- ---- functions ----

-- The C function of a machine function: by the frame that all its instructions have outermost.
function Join:root(f)
  local frames = self.lines[f.address]
  local name = plain(f.name)
  local file = frames and frames[#frames] and frames[#frames].file
  local one = self.files[file] and self.of.find(file, name)
  return one and one.key or self.of.by_key[name] and name
end

-- The names of the counted loops around an instruction, from the outermost on.
function Join:nest(frames, root)
  local context, key, names = root .. ">", root, {}
  for i = #frames, 1, -1 do
    local frame, next = frames[i], frames[i - 1]
    for _, loop in ipairs(self.trips.loops(key)) do
      if frame.line >= loop.line and frame.line <= loop.ends then names[context .. loop.index] = true end
    end
    local target = next and self.of.find(self.of.by_key[key].file, next.name)
    if not target then break end
    context, key = ("%s%d:%s>"):format(context, frame.line, target.key), target.key
  end
  return names
end

-- Whether a loop within another is so in the C, too.
function Join:nests(loop, root)
  if not loop.parent then return true end
  for _, block in ipairs(loop.own) do
    for _, one in ipairs(block.list) do
      local around = self:nest(self.lines[one.address] or {}, root)
      for _, name in ipairs(loop.parent.names) do
        if around[name] or name:find "bytes%d+$" then return true end
      end
    end
  end
  return false
end

-- A block without a line, among others that control comes back to, runs no more often than all that lead to it: their
-- C loops, of each predecessor once, are its own. Sets `begun`: how many lead to it from outside, once a call.
local function take_from_predecessors(loop)
  local names, begun = {}, 0
  for _, block in ipairs(loop.header.from) do
    local other = block.loop
    if other and #other.names == 0 then return false end
    for _, name in ipairs(other and other.names or {}) do names[#names + 1] = name end
    begun = begun + (other and other.begun or other and 0 or 1)
  end
  loop.names, loop.begun = names, begun
  return #names > 0
end

-- Of a function's blocks of this kind, one after the other as far as they come.
local function complete(loops)
  local again = true
  while again do
    again = false
    for _, loop in ipairs(loops) do
      if loop.region and #loop.names == 0 then again = take_from_predecessors(loop) or again end
    end
  end
end

-- Sets of each loop of a function its C loops, and of the function what it calls.
function Join:prepare(f)
  f.root = self:root(f)
  if not f.root then
    f.problem = f.problem or "no C function has its name"
    return
  end
  for _, loop in ipairs(f.loops or {}) do loop.names = closed.sorted(self:loops_of(loop, f.root)) end
  complete(f.loops or {})
  for _, loop in ipairs(f.loops or {}) do loop.stray = not self:nests(loop, f.root) end
end

-- Where what stands in lines of a function stands in another of the same loops and calls: line -> line; or nil.
function Join:same_lines(key, other)
  local here, there, map = self.trips.order(key), self.trips.order(other), {}
  if #here ~= #there then return nil end
  for i, one in ipairs(here) do
    if one.what ~= there[i].what then return nil end
    map[one.line] = there[i].line
  end
  return map
end

-- Where compilers have made one of functions that do the same, a call goes to another than the C names in that line.
-- `same` of a function: those whose calls it has, too, and their lines.
function Join:check_calls(f)
  for _, block in ipairs(f.blocks or {}) do
    for _, call in ipairs(block.calls) do
      local target = self.at[call.target]
      local frame = (self.lines[call.address] or {})[1]
      local from = frame and self.files[frame.file] and self.of.find(frame.file, frame.name)
      if target and target.root and from and from.key ~= target.root then self:check_call(target, from, frame.line) end
    end
  end
end

function Join:merge(target, names)
  local found = false
  for _, key in ipairs(closed.sorted(names)) do
    local lines = key ~= target.root and self.of.by_key[key] and self:same_lines(target.root, key)
    if lines then
      target.same = target.same or {}
      target.same[key], found = lines, true
    end
  end
  return found
end

function Join:check_call(target, from, line)
  local here, all = {}, { [from.key] = true }
  for _, one in ipairs(self.trips.order(from.key)) do
    if one.calls then
      all[one.what] = true
      here[one.what] = one.line == line or here[one.what] or nil
    end
  end
  if here[target.root] or self:merge(target, here) then return end
  -- of the caller's other lines only what can be told from others: a function with loops or calls
  if self.trips.order(target.root)[1] and self:merge(target, all) or all[target.root] then return end
  target.problem = target.problem or "called where the C calls another function"
end

-- A counted loop's name in a function that does the same.
local function moved(name, key, lines)
  local rest = name:match "^[^>]*>(.*)$"
  local word, line, within = rest:match "^(%l*)(%d+)(.*)$"
  local at = (word ~= "" or within ~= "") and lines[math.tointeger(tonumber(line))]
  return ("%s>%s"):format(key, at and word .. at .. within or rest)
end

-- How often a machine function is called, and a loop of it runs, with those of functions of the same text.
local function times_of(f, count, entry)
  local times = f.root == entry and 1 or count.calls[f.root] or 0
  for key in pairs(f.same or {}) do times = times + (key == entry and 1 or count.calls[key] or 0) end
  return times
end

local function counted(f, name, count, entry)
  local runs, entries = 0, 0
  local function sum(one_name, key)
    local one = key == entry and count.inside[one_name:sub(#entry + 2)] or count.alone[one_name]
    if one then runs, entries = runs + one.trips, entries + one.entries end
  end
  sum(name, f.root)
  for key, lines in pairs(f.same or {}) do sum(moved(name, key, lines), key) end
  return runs, entries
end

-- Instructions of all calls of a function within one of an entry, and how often its calls are made.
function Join:add(f, count, entry, times, sum)
  sum.total = sum.total + times * f.pass
  local passes = {}
  for _, loop in ipairs(f.loops) do
    local total, entries = times * (loop.begun or 0), 0
    for _, name in ipairs(loop.names) do
      local runs, begun = counted(f, name, count, entry)
      total, entries = total + runs, entries + begun
    end
    local line = self.lines[loop.header.address]
    local where = line and line[#line] and ("%s:%d"):format(line[1].file, line[1].line) or f.name
    if #loop.names == 0 then sum.open[("%s: a loop of no C loop"):format(where)] = true end
    sum.broken = sum.broken or #loop.names == 0 or loop.stray
    if loop.stray then sum.open[("%s: a loop within one that it is not within in the C"):format(where)] = true end
    passes[loop] = total + (loop.tested and entries or 0)
    sum.total = sum.total + total * loop.pass + (loop.tested and entries * loop.tested or 0)
  end
  for _, block in ipairs(f.blocks) do
    for _, call in ipairs(block.calls) do
      local name = self.names[call.target]
      if self.outside[name] then
        sum.outside[name] = (sum.outside[name] or 0) + (block.loop and passes[block.loop] or times)
      end
    end
  end
end

-- Machine functions that an entry reaches.
function Join:reached(entry)
  local seen, list, queue = {}, {}, { entry }
  while #queue > 0 do
    local f = table.remove(queue)
    if not seen[f] then
      seen[f] = true
      list[#list + 1] = f
      for _, block in ipairs(f.blocks or {}) do
        for _, call in ipairs(block.calls) do
          local target = self.at[call.target]
          if target and not self.outside[target.name] then queue[#queue + 1] = target end
        end
      end
    end
  end
  table.sort(list, function(a, b) return a.address < b.address end)
  return list
end

function Join:entry(name)
  local f = self.by_name[name]
  local count, sum = self.trips.count(name), { total = 0, open = {}, outside = {} }
  for _, one in ipairs(self:reached(f)) do
    if one.problem then sum.open[("%s: %s"):format(one.name, one.problem)] = true
    else
      local times = times_of(one, count, name)
      if times == 0 then sum.open[one.name .. ": called, and not in the C"] = true end
      self:add(one, count, name, times, sum)
    end
  end
  local open = closed.sorted(sum.open)
  if sum.total == math.huge then
    for _, where in ipairs(closed.sorted(count.open)) do open[#open + 1] = where .. ": nothing says how often" end
  end
  return { entry = name, most = #open == 0 and math.tointeger(sum.total) or nil, open = open,
    broken = sum.broken or false, outside = sum.outside }
end

--- @param of evidence.text's @param texts of its files @param report of report.sizes, whose image was
-- compiled with lines @return a list of { entry, most = instructions or nil, open = why there is no bound, broken =
--   true if a loop of it is none of the C's, outside = name of what is not in the library, whose
--   instructions are not counted -> calls at most }
function instructions.of(of, texts, report)
  local self = setmetatable({ of = of, at = {}, by_name = {}, names = {}, outside = {}, files = {},
    trips = trips.of(of, texts, stated) }, Join)
  local functions = flow.of(tools.must({ report.tools .. "objdump", "-d", report.image }, "the compiler's binutils",
    report.image))
  self.lines = lines_of(report, functions)
  for _, name in ipairs(of.files) do self.files[name] = true end
  for _, one in ipairs(report.outside) do self.outside[one.name] = one.missing end
  for _, f in ipairs(functions) do
    self.at[f.address], self.names[f.address] = f, f.name
    if not self.outside[f.name] then
      self:prepare(f)
      self.by_name[f.name] = f
    end
  end
  for _, f in ipairs(functions) do self:check_calls(f) end
  local list = {}
  for i, one in ipairs(report.stack) do list[i] = self:entry(one.entry) end
  return list
end

--- What is called outside the library, in words: "memcpy 3, memset 9".
function instructions.outside(one)
  local words = {}
  for i, name in ipairs(closed.sorted(one.outside)) do
    local calls = math.tointeger(one.outside[name])
    words[i] = calls and ("%s %d"):format(name, calls) or name
  end
  return table.concat(words, ", ")
end

--- The table of a bundle.
function instructions.csv(list)
  local lines = { csv.line { "entry", "instructions_at_most", "calls_of_others", "why_none" } }
  for i, one in ipairs(list) do
    lines[i + 1] = csv.line { one.entry, one.most or false, instructions.outside(one), table.concat(one.open, "; ") }
  end
  return table.concat(lines)
end

return instructions

-- SPDX-License-Identifier: Apache-2.0
--- How often the loops of generated C run at most in one call of a function, those of all calls below it together, and
-- how often functions are called; by context: which calls lead there, since compilers put a function's text into its
-- callers.
local bounds = require "evidence.bounds"
local split = require "kernels.operations".split

local trips = {}

local NONE = math.huge

-- Functions that compilers know, and which argument of them is a count of bytes.
local MEMORY = { memcpy = 3, memmove = 3, memset = 3, memcmp = 3 }

-- Loops and calls of a body in order: { header, line, nodes, index } or { name, line, split = arguments }.
local Reader = {}
Reader.__index = Reader

function Reader:line(at)
  while self.next <= #self.ends and self.ends[self.next] < at do self.next = self.next + 1 end
  while self.next > 1 and self.ends[self.next - 1] >= at do self.next = self.next - 1 end
  return self.first + self.next - 1
end

function Reader:calls(from, to, list)
  for at, name, after in self.s:sub(1, to):gmatch("()([%a_][%w_]*)()%s*%(", from) do
    local target, memory = self.find(name), MEMORY[name]
    if memory or target then
      list[#list + 1] = { name = memory and name or target, memory = memory, line = self:line(at),
        split = split((self.s:match("^%s*(%b())", after) or "()"):sub(2, -2)) }
    end
  end
end

-- A loop's header, and where its body begins; nil where the next loop is none of this kind.
function Reader:loop(at)
  local from, word = self.s:match("()%f[%w_](for) %(", at)
  for _, one in ipairs { "while", "do" } do
    local start = self.s:match("()%f[%w_]" .. one .. "%f[^%w_][ {(]", at)
    if start and (not from or start < from) then from, word = start, one end
  end
  return from, word
end

-- @param one true: of a statement alone @return nodes, where it ends
function Reader:nodes(at, one)
  local list, s = {}, self.s
  while at <= #s do
    local from, word = self:loop(at)
    local brace = s:find("[{};]", at)
    if from and (not brace or from < brace) then
      self:calls(at, from - 1, list)
      at = self:add(list, from, word)
      if one then return list, at end
    elseif not brace then
      self:calls(at, #s, list)
      return list, #s + 1
    else
      self:calls(at, brace - 1, list)
      local sign = s:sub(brace, brace)
      at = brace + 1
      if sign == "}" or sign == ";" and one then return list, at end
      if sign == "{" then
        local inner
        inner, at = self:nodes(at, false)
        table.move(inner, 1, #inner, #list + 1, list)
        if one then return list, at end
      end
    end
  end
  return list, at
end

-- A loop from its word on. The end of a do's body is its test.
function Reader:add(list, from, word)
  local s, loop = self.s, { line = self:line(from) }
  self.count = self.count + 1
  loop.index = self.count
  local header, after = s:match("^%l+ ?(%b())%s*()", from)
  if word == "do" then header, after = nil, s:match("^do%s*()", from) end
  loop.header = word == "for" and header:sub(2, -2) or word
  loop.last = word == "do" and loop.line or self:line(after - 1)
  local body = s:sub(after, after) == "{"
  loop.nodes, after = self:nodes(body and after + 1 or after, not body)
  loop.ends = self:line(after - 1)
  if header then self:calls(from + #word, from + #word + #header + 1, loop.nodes) end
  if word == "do" then
    local test, rest = s:match("^%s*while (%b())%s*;()", after)
    self:calls(after, (rest or after) - 1, loop.nodes)
    loop.test, after = test and self:line(rest), rest or after
  end
  loop.ends = math.max(loop.ends, loop.test or 0)
  list[#list + 1] = loop
  return after
end

local function read(of, f)
  local ends, at = {}, 0
  for position in f.text:gmatch "()\n" do ends[#ends + 1] = position end
  at = f.text:find("{", 1, true) or 1
  local reader = setmetatable({ s = f.text, ends = ends, next = 1, first = f.last - #ends, count = 0,
    find = function(name)
      local target = of.find(f.file, name)
      return target and f.calls[target.key] and target.key
    end }, Reader)
  return (reader:nodes(at + 1, false))
end

-- ---- counting ----

local Counter = {}
Counter.__index = Counter

-- Names on which it depends how often the loops of some nodes run, and those of functions called.
function Counter:asked(made, nodes, words)
  for _, node in ipairs(nodes) do
    if node.header then
      for word in node.header:gmatch "[%a_][%w_]*" do words[word] = true end
      self:asked(made, node.nodes, words)
    elseif not node.memory and self:loops_below(node.name) then
      local matter = self:matter(node.name)
      for i, argument in ipairs(node.split) do
        for word in (matter[i] and argument or ""):gmatch "[%a_][%w_]*" do words[word] = true end
      end
    end
  end
  return words
end

-- The same, with what constants among them are made of.
function Counter:closure(made, nodes)
  local words, more = self:asked(made, nodes, {}), true
  while more do
    more = false
    for name, expression in pairs(made.constants) do
      if words[name] then
        for word in expression:gmatch "[%a_][%w_]*" do
          if not words[word] then words[word], more = true, true end
        end
      end
    end
  end
  return words
end

-- Which of a function's arguments matter to how often loops run.
function Counter:matter(key)
  if not self.matters[key] then
    local list, made = {}, self.made[key]
    self.matters[key] = list
    local words = self:closure(made, self.bodies[key])
    for parameter, place in pairs(made.parameters) do list[place] = words[parameter] end
  end
  return self.matters[key]
end

-- Whether there are loops in a function, or below it.
function Counter:loops_below(key)
  if self.looped[key] == nil then
    self.looped[key] = false
    local function any(nodes)
      for _, node in ipairs(nodes) do
        if node.header or node.memory or self:loops_below(node.name) then return true end
      end
      return false
    end
    self.looped[key] = any(self.bodies[key])
  end
  return self.looped[key]
end

function Counter:looker(made, known)
  local function look(name, entry, depth)
    depth = depth or 0
    if depth > 12 then return bounds.UNKNOWN end
    if entry then return made.tables[name] or bounds.UNKNOWN end
    if known[name] then return known[name] end
    local function deeper(one, of_table) return look(one, of_table, depth + 1) end
    for _, expression in ipairs { made.constants[name] or false, self.stated.name(made.f, name) or false } do
      local value = expression and bounds.evaluate(expression, deeper) or bounds.UNKNOWN
      if value[2] then return value end
    end
    return self.macros[name] or bounds.UNKNOWN
  end
  return look
end

local function add(to, from, times, prefix)
  for name, one in pairs(from) do
    local key = prefix .. name
    local sum = to[key]
    if not sum then
      sum = { trips = 0, entries = 0 }
      to[key] = sum
    end
    -- nothing times no bound is nothing
    sum.trips = sum.trips + (times == 0 and 0 or times * one.trips)
    sum.entries = sum.entries + (times == 0 and 0 or times * one.entries)
  end
end

local function add_calls(to, from, times)
  for name, count in pairs(from) do to[name] = (to[name] or 0) + (times == 0 and 0 or times * count) end
end

-- A call: the loops of the callee in the context of this line, and all below it by themselves.
function Counter:call(made, node, known, out, times)
  local given, look = {}, self:looker(made, known)
  if node.memory then
    local bytes = bounds.evaluate(node.split[node.memory] or "", look)[2] or NONE
    return add(out.inside, { ["bytes" .. node.line] = { trips = bytes, entries = 1 } }, times, "")
  end
  if self:loops_below(node.name) then
    local matter = self:matter(node.name)
    for i, argument in ipairs(node.split) do
      given[i] = matter[i] and bounds.evaluate(argument, look) or bounds.UNKNOWN
      local struct = matter[i] and made.structs[argument:match "^%s*&([%w_]+)%s*$" or ""]
      if struct then given[i] = { 0, nil, fields = struct } end
    end
  end
  local below, context = self:count(node.name, given), ("%d:%s>"):format(node.line, node.name)
  for where in pairs(below.open) do out.open[where] = true end
  add(out.inside, below.inside, times, context)
  add_calls(out.calls, below.calls, times)
  out.calls[below.name] = (out.calls[below.name] or 0) + times
  for where, one in pairs(below.ever) do
    if times > 0 then out.ever[context .. where] = { trips = one.trips, calls = one.calls } end
  end
end

local EACH = 512 -- trips that are gone through one by one

-- How often a loop runs at most: by what is stated of all calls within one of the interface, by its header, or by what
-- is stated of each time, or of all of a call.
function Counter:most(made, node, look)
  local list = self.stated.of(made.f, node.header)
  for _, bound in ipairs(list) do
    local most = bounds.evaluate(bound:match "^ever (.*)$" or "", look)[2]
    if most then return { most = most, ever = true } end
  end
  local most, variable, range, step = bounds.trips(node.header, look)
  if most then return { most = most, variable = variable, range = range, step = step } end
  for _, bound in ipairs(list) do
    local whole, expression = bound:match "^(all )(.*)$"
    most = bounds.evaluate(expression or bound, look)[2]
    if most then return { most = most, whole = whole } end
  end
  -- a counter that goes on from what it was, and that is not negative
  local going = node.header:match "^; ([%w_]+) < "
  return { most = going and bounds.trips(going .. " = 0" .. node.header, look) or NONE }
end

function Counter:loop(made, node, known, out, times)
  local run = self:most(made, node, self:looker(made, known))
  if run.most == NONE then out.open[("%s:%d %s"):format(made.f.file, node.line, made.f.name)] = true end
  if run.ever then return self:ever(made, node, known, out, times, run.most) end
  node.words = node.words or self:closure(made, node.nodes)
  local sum = times == 0 and 0 or run.whole and run.most or times * run.most
  add(out.inside, { [tostring(node.index)] = { trips = sum, entries = times } }, 1, "")
  local function inner(value)
    return run.variable and setmetatable({ [run.variable] = value }, { __index = known }) or known
  end
  if not run.variable or run.most > EACH or not node.words[run.variable] then
    return self:nodes(made, node.nodes, inner(run.range), out, sum)
  end
  for k = 0, run.most - 1 do
    local value = run.range[1] + k * run.step
    self:nodes(made, node.nodes, inner { value, value }, out, times)
  end
end

-- A loop whose passes are so many in all calls together, and what is within it.
function Counter:ever(made, node, known, out, times, most)
  local within = { inside = {}, calls = {}, open = out.open, ever = {} }
  self:nodes(made, node.nodes, known, within, most)
  add(out.inside, { [tostring(node.index)] = { trips = 0, entries = times } }, 1, "")
  out.ever[tostring(node.index)] = { trips = most, calls = within.calls }
  for name, one in pairs(within.inside) do out.ever[name] = { trips = one.trips, calls = {} } end
  for name, one in pairs(within.ever) do out.ever[name] = one end
end

function Counter:nodes(made, list, known, out, times)
  for _, node in ipairs(list) do
    if node.header then self:loop(made, node, known, out, times)
    else self:call(made, node, known, out, times)
    end
  end
end

-- One call of a function with arguments of some bounds. @return { key, name = of both, inside = loops within by
--   context, and bytes that memory functions are given by line, calls = such names -> times, open = set of loops of
--   which nothing says how often they run, ever = loops by context of which is said how often they run in all calls
--   together: { trips, calls = of what is in them } }
function Counter:count(key, given)
  local words = { key }
  for i, value in ipairs(given) do
    words[i + 1] = ("%d..%s"):format(value[1], tostring(value[2]))
    for _, field in ipairs(value.fields or {}) do words[i + 1] = words[i + 1] .. "," .. tostring(field) end
  end
  local name = table.concat(words, " ")
  if not self.counted[name] then
    local out = { key = key, name = name, inside = {}, calls = {}, open = {}, ever = {} }
    self.counted[name] = out -- of a function within itself nothing is counted; the stack's check refuses it
    local made, known = self.made[key], {}
    for parameter, place in pairs(made.parameters) do
      known[parameter] = given[place]
      for i, field in ipairs(given[place] and given[place].fields or {}) do
        known[("%s.%d"):format(parameter, i)] = field and { field, field } or nil
      end
    end
    self:nodes(made, self.bodies[key], known, out, 1)
  end
  return self.counted[name]
end

-- One call of a function and all below it. @return { inside, open, alone = the same of functions called, each from its
--   own start on, calls = key -> times }
function Counter:whole(key)
  local one = self:count(key, {})
  local out, calls = { inside = {}, open = one.open, alone = {}, calls = {} }, {}
  -- @param times of the function itself
  local function put(to, of, times, prefix)
    add(to, of.inside, times, prefix)
    for where, loop in pairs(of.ever) do
      add(to, { [where] = { trips = loop.trips, entries = 0 } }, 1, prefix)
    end
  end
  put(out.inside, one, 1, "")
  add_calls(calls, one.calls, 1)
  for _, loop in pairs(one.ever) do add_calls(calls, loop.calls, 1) end
  for name, times in pairs(calls) do
    local below = self.counted[name]
    put(out.alone, below, times, below.key .. ">")
    out.calls[below.key] = (out.calls[below.key] or 0) + times
  end
  return out
end

-- #define NAME number, and constants of enums, where all files of a folder agree.
local function macros_of(texts)
  local macros, expressions = {}, {}
  local function add_one(name, value)
    value = value:gsub("/%*.-%*/", ""):match "^%s*(.-)%s*$"
    expressions[name] = (expressions[name] == nil or expressions[name] == value) and value
  end
  for _, text in ipairs(texts) do
    for name, value in text:gmatch "\n#define ([%u_%d]+) ([^\n]+)" do add_one(name, value) end
    for list in text:gmatch "\nenum {([^}]*)}" do
      for name, value in list:gmatch "([%u_%d]+) = ([%w_]+)" do add_one(name, value) end
    end
  end
  local function look(name, _, depth)
    depth = depth or 0
    if not expressions[name] or depth > 8 then return bounds.UNKNOWN end
    return bounds.evaluate(expressions[name], function(one) return look(one, false, depth + 1) end)
  end
  for name in pairs(expressions) do macros[name] = look(name) end
  return macros
end

--- @param of evidence.text's @param texts of its files, for their constants
-- @param stated { of = function(f, header of a loop) -> expressions, of which the first that has a bound counts, name =
--   function(f, name) -> an expression or nil }: what the text does not say
-- @return { count = function(key) -> { inside, alone, calls, open }, loops = function(key) -> its loops in order:
--   { line, last, ends, test, header, index, parent }, order = function(key) -> its loops and calls as they stand:
--   { what = header or name, line, calls = true of functions of these files } }
function trips.of(of, texts, stated)
  local self = setmetatable({ made = {}, bodies = {}, matters = {}, looped = {}, counted = {},
    macros = macros_of(texts), stated = stated }, Counter)
  for _, f in ipairs(of.functions) do
    self.made[f.key] = bounds.parsed(f)
    self.bodies[f.key] = read(of, f)
  end
  local known = {}
  local function loops(key)
    if known[key] then return known[key] end
    local list = {}
    local function walk(nodes, parent)
      for _, node in ipairs(nodes) do
        if node.header then
          list[#list + 1], node.parent = node, parent
          walk(node.nodes, node)
        end
      end
    end
    walk(self.bodies[key] or {}, nil)
    known[key] = list
    return list
  end
  local function order(key)
    local list = {}
    local function walk(nodes)
      for _, node in ipairs(nodes) do
        list[#list + 1] = { what = node.header or node.name, line = node.line,
          calls = not node.header and not node.memory }
        walk(node.nodes or {})
      end
    end
    walk(self.bodies[key] or {})
    return list
  end
  local wholes = {}
  local function count(key)
    wholes[key] = wholes[key] or self:whole(key)
    return wholes[key]
  end
  return { count = count, loops = loops, order = order }
end

return trips

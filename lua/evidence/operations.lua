-- SPDX-License-Identifier: Apache-2.0
--- How many operations a call of each layer makes at most, counted in the generated C: functions of the arithmetic's
-- headers (msa_vfma, msa_load, ...), each as often as the loops around it and the calls that lead to it run. Of a
-- condition both branches count, of the prompt's tokens as many as there may be.
local bounds = require "evidence.bounds"
local split = require "kernels.operations".split
local closed = require "support.closed"

local operations = {}

local PRIMITIVE = { ["simd.h"] = true, ["arith.h"] = true, ["int8.h"] = true, ["bf16.h"] = true }

-- A body as nodes: texts, and { header, nodes } of loops. @return nodes, where the block ends
local function nodes_of(s, at, one)
  local list = {}
  local function text(from, to)
    if to >= from then list[#list + 1] = s:sub(from, to) end
  end
  while at <= #s do
    local from = s:find("%f[%w_]for %(", at)
    local brace = s:find("[{};]", at)
    if from and (not brace or from < brace) then
      text(at, from - 1)
      local header, after = s:match("^for (%b())%s*()", from)
      local nodes
      if s:sub(after, after) == "{" then nodes, at = nodes_of(s, after + 1, false)
      else nodes, at = nodes_of(s, after, true) end
      list[#list + 1] = { header:sub(2, -2), nodes }
      if one then return list, at end
    elseif not brace then
      text(at, #s)
      return list, #s + 1
    else
      local sign = s:sub(brace, brace)
      text(at, brace - 1)
      at = brace + 1
      if sign == "}" then return list, at end
      if sign == ";" and one then return list, at end
      if sign == "{" then
        local inner
        inner, at = nodes_of(s, at, false)
        for _, node in ipairs(inner) do list[#list + 1] = node end
      end
    end
  end
  return list, at
end

local Counter = {}
Counter.__index = Counter

-- What a name is within a function, of which `known` says its parameters and the variables of loops around.
local function looker(made, known)
  local function look(name, entry, depth)
    depth = depth or 0
    if depth > 12 then return bounds.UNKNOWN end
    if entry then return made.tables[name] or bounds.UNKNOWN end
    if known[name] then return known[name] end
    local constant = made.constants[name]
    return constant and bounds.evaluate(constant, function(one, of_table) return look(one, of_table, depth + 1) end)
      or bounds.UNKNOWN
  end
  return look
end

local function add(to, from, times)
  for name, count in pairs(from) do to[name] = (to[name] or 0) + times * count end
end

-- Calls in a piece of text.
function Counter:text(made, s, known, total, times)
  for name, at in s:gmatch "([%a_][%w_]*)()%s*%(" do
    local target = self.of.find(made.f.file, name)
    if target and PRIMITIVE[target.stem] then total[name] = (total[name] or 0) + times
    elseif target and made.f.calls[target.key] then
      local given, look = {}, looker(made, known)
      for i, argument in ipairs(split((s:match("^%s*(%b())", at) or "()"):sub(2, -2))) do
        given[i] = bounds.evaluate(argument, look)
      end
      add(total, self:count(target.key, given), times)
    end
  end
end

-- Whether sizes depend on which trip it is: a constant or the bounds of a loop within say the variable.
local function matters(made, variable, nodes)
  local word = "%f[%w_]" .. variable .. "%f[^%w_]"
  for _, expression in pairs(made.constants) do
    if expression:find(word) then return true end
  end
  for _, node in ipairs(nodes) do
    if type(node) == "table" and (node[1]:find(word) or matters(made, variable, node[2])) then return true end
  end
  return false
end

local EACH = 4096 -- trips that are gone through one by one

function Counter:loop(made, node, known, total, times)
  local trips, variable, range, step = bounds.trips(node[1], looker(made, known))
  if not trips then
    self.open[("%s: for (%s)"):format(made.f.name, node[1])] = true
    return
  end
  local function inner(value) return setmetatable({ [variable] = value }, { __index = known }) end
  if trips > EACH or not matters(made, variable, node[2]) then
    return self:nodes(made, node[2], inner(range), total, times * trips)
  end
  for k = 0, trips - 1 do
    local value = range[1] + k * step
    self:nodes(made, node[2], inner { value, value }, total, times)
  end
end

function Counter:nodes(made, list, known, total, times)
  for _, node in ipairs(list) do
    if type(node) == "string" then self:text(made, node, known, total, times)
    else
      self:loop(made, node, known, total, times)
    end
  end
end

-- Operations of one call of a function. @param given bounds of its arguments in order
function Counter:count(key, given)
  local words = { key }
  for i, value in ipairs(given) do words[i + 1] = ("%d..%s"):format(value[1], tostring(value[2])) end
  local name = table.concat(words, " ")
  if not self.counted[name] then
    self.counted[name] = {} -- of a function within itself nothing is counted; the stack's check refuses it
    local made = self.made[key]
    local known, total = {}, {}
    for parameter, place in pairs(made.parameters) do known[parameter] = given[place] end
    self:nodes(made, self.bodies[key], known, total, 1)
    self.counted[name] = total
  end
  return self.counted[name]
end

--- @param of evidence.text's @param layers list of { name, functions = keys }
-- @return a list of { name, operations = name -> count }; names of operations, sorted; loops without a bound, sorted
function operations.of(of, layers)
  local self = setmetatable({ of = of, made = {}, bodies = {}, counted = {}, open = {} }, Counter)
  for _, f in ipairs(of.functions) do
    self.made[f.key] = bounds.parsed(f)
    self.bodies[f.key] = nodes_of(f.text:match("{(.*)$") or "", 1, false)
  end
  local list, names = {}, {}
  for i, layer in ipairs(layers) do
    local total = {}
    for _, key in ipairs(layer.functions) do add(total, self:count(key, {}), 1) end
    list[i] = { name = layer.name, operations = total }
    for name in pairs(total) do names[name] = true end
  end
  return list, closed.sorted(names), closed.sorted(self.open)
end

return operations

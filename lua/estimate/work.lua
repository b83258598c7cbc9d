-- SPDX-License-Identifier: Apache-2.0
--- What a step does: each call of a kernel with how often it is made in one call of the step, for a click without a
-- mask that finds ready what may be ready.

local index = require "lower.index"

local work = {}

-- Whether the body of a condition is what such a click does.
local function taken(condition, tokens)
  if condition == "ready == NULL" then return false end
  local most = type(condition) == "string" and condition:match "^count <= (%d+)$"
  if most then return tokens <= math.tointeger(most) end
  return true
end

local Walk = {}
Walk.__index = Walk

function Walk:trips(node)
  if node.counted then return (self.tokens + node.by - 1) // node.by end
  local from, to = index.bind(node.from, self.values), index.bind(node.to, self.values)
  if math.type(from) ~= "integer" or math.type(to) ~= "integer" then
    error(("work: a loop over %s whose bounds are not known"):format(node.variable))
  end
  return (to - from + node.by - 1) // node.by
end

function Walk:each(node, trips, stage)
  local inner = node.units and node.units.inner
  if inner then self.values[node.units.first], self.values[node.units.last] = 0, inner end
  local times, before = self:trips(node), self.units
  self.values[node.variable] = index.bind(node.from, self.values)
  self.units = node.units and node or before
  self:body(node.body, trips * times, stage)
  self.units = before
end

function Walk:call(node, trips, stage)
  local proc = node.proc
  if not proc then return self.visit(node, trips, stage, self.given, self.units) end
  local values, given = self.values, self.given
  self.values, self.given = setmetatable({}, { __index = values }), {}
  for i, parameter in ipairs(proc.parameters) do
    if parameter.storage then self.given[parameter.storage] = node.arguments[i]
    else self.values[parameter.name] = index.bind(node.arguments[i], values) end
  end
  self:body(proc.body, trips, stage)
  self.values, self.given = values, given
end

function Walk:body(body, trips, stage)
  for _, node in ipairs(body) do
    if node.node == "each" then self:each(node, trips, stage)
    elseif node.node == "when" then
      if taken(node.condition, self.tokens) then
        self:body(node.body, trips * node.share, stage)
        -- Of two that both are done, the first is by far the most; the other is seen, too.
        if node.other and type(node.condition) == "table" then self:body(node.other, 0, stage) end
      elseif node.other then self:body(node.other, trips, stage) end
    elseif node.node == "call" then self:call(node, trips, stage)
    elseif node.node == "let" then self.values[node.variable] = index.bind(node.place, self.values)
    else self.visit(node, trips, stage, self.given, self.units) end
  end
end

--- @param visit function(node, trips, stage, given, units): a call of a kernel, or what moves elements; given: of a
-- proc's pointers the views that it is called with, or nil; units: the loop around it that cores part, or nil
-- @param tokens of a click
function work.walk(step, tokens, visit)
  for stage, loop in step:each_stage() do
    local walk = setmetatable({ values = {}, visit = visit, tokens = tokens }, Walk)
    if loop then walk.values[loop.variable] = 0 end
    walk:body(stage.body, loop and loop.to or 1, stage)
  end
end

return work

-- SPDX-License-Identifier: Apache-2.0
--- The precision of each layer of a build: what a device asks for, and the graph that computes so.
--   precision        "f32", "bf16", "int8": of the encoder's layers, for which a precision has an arithmetic
--   layer_precision  { name of a layer, or a pattern with * for any part of names = precision }: of these layers,
--                    the decoder's as well
--   equalise         are the columns behind layer norms equalised: unless given, where any layer is int8

local arithmetic = require "target.arithmetic"
local closed = require "support.closed"
local fail = require "support.fail"

local Precision = {}
Precision.__index = Precision

local precision = {}

-- A pattern of a script as one of Lua's.
local function pattern_of(text)
  return "^" .. text:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*") .. "$"
end

--- @param device of a build script or the command line; nil for one that asks for nothing
-- @param where what refusals begin with
function precision.of(device, where)
  device = device or {}
  local self = setmetatable({ default = device.precision or arithmetic.DEFAULT, rules = {}, where = where or "device" },
    Precision)
  for _, name in ipairs(closed.sorted(device.layer_precision or {})) do
    local one = device.layer_precision[name]
    closed.member(one, arithmetic.precisions, ("%s: layer_precision: %s"):format(self.where, name))
    self.rules[#self.rules + 1] = { name = name, pattern = pattern_of(name), precision = one }
  end
  self.equalise = device.equalise
  if self.equalise == nil then self.equalise = self:has "int8" end
  return self
end

--- Whether any layer may have a precision.
function Precision:has(name)
  if self.default == name then return true end
  for _, rule in ipairs(self.rules) do
    if rule.precision == name then return true end
  end
  return false
end

--- Whether any layer may have another precision than f32.
function Precision:lowers() return self:name() ~= arithmetic.DEFAULT end

--- The precision that names the class of the build.
function Precision:name()
  if self.default ~= arithmetic.DEFAULT then return self.default end
  for _, rule in ipairs(self.rules) do
    if rule.precision ~= arithmetic.DEFAULT then return rule.precision end
  end
  return arithmetic.DEFAULT
end

-- The precision of a layer, and what rule said it, or nil.
local function rule_of(self, label)
  local found
  for _, rule in ipairs(self.rules) do
    if label:find(rule.pattern) then
      if found and found.precision ~= rule.precision then
        fail("%s: layer_precision: expected one precision for layer %s, found %s by %s and %s by %s", self.where, label,
          found.precision, found.name, rule.precision, rule.name)
      end
      found = rule
    end
  end
  return found
end

local function labels_of(graph)
  local list, seen = {}, {}
  for _, op in ipairs(graph.values) do
    if op.label and not seen[op.label] and #op.inputs > 0 then
      seen[op.label] = true
      list[#list + 1] = op.label
    end
  end
  return list
end

-- Each rule names a layer that has what its precision is of.
local function check_rules(self, labels, count)
  for _, rule in ipairs(self.rules) do
    local any, lowered = false, rule.precision == arithmetic.DEFAULT
    for _, label in ipairs(labels) do
      if label:find(rule.pattern) then any, lowered = true, lowered or count[label] ~= nil end
    end
    if not any then
      fail("%s: layer_precision: expected a layer's name, found %s, which none has%s", self.where, rule.name,
        closed.hint(rule.name, labels))
    end
    if not lowered then
      fail("%s: layer_precision: expected f32 for %s, which has no product that %s is defined for, found %s",
        self.where, rule.name, rule.precision, rule.precision)
    end
  end
end

--- The graph that computes in these precisions. @param graph it is changed
-- @return graph, { equalised = list of norms and exponents, lowered = label -> count of operations }
function Precision:apply(graph)
  local report = { equalised = {}, lowered = {} }
  if self.equalise then
    graph, report.equalised = require "graph.passes.equalise"(graph, function() return true end)
  end
  if self:lowers() then
    graph, report.lowered = require "graph.passes.quantise"(graph, function(label, encodes)
      local rule = rule_of(self, label)
      return rule and rule.precision or encodes and self.default or arithmetic.DEFAULT
    end)
    check_rules(self, labels_of(graph), report.lowered)
  end
  return graph, report
end

return precision

-- SPDX-License-Identifier: Apache-2.0
--- A graph of values, each of which one operation gives: what a network computes, and nothing of how. Operations are
-- lua/graph/ops.lua's.
-- A value is { id, kind, inputs = values, type, shape, label, name?, ... the kind's attributes }: elements of a type of
-- lua/graph/types.lua. Its last dimension is its width; an image is n x h x w x c. Of a value that is `counted`, the
-- first dimension is the most that it may be: a prompt's tokens.

local closed = require "support.closed"
local ops = require "graph.ops"
local schema = require "support.schema"
local types = require "graph.types"

local Graph = {}
Graph.__index = Graph

local graph = {}

--- @return an empty graph; values are added by methods of an operation's name, as g:add(x, y)
function graph.new() return setmetatable({ values = {}, inputs = {}, outputs = {}, label = nil }, Graph) end

--- What follows belongs to a layer of that name.
function Graph:layer(name) self.label = name end

local OWN = { id = true, kind = true, inputs = true, roles = true, type = true, shape = true, label = true, name = true,
  counted = true, buffer = true, apart = true, rows = true }

local function checked(op, where)
  local entry, attributes = ops.of(op.kind, where), {}
  for key, value in pairs(op) do
    if not OWN[key] then attributes[key] = value end
  end
  schema.check(attributes, entry.attributes, where)
  return entry
end

--- Inputs by role, or whatever `of` gives for each.
function graph.by_role(op, of)
  local v = {}
  for i, input in ipairs(op.inputs) do
    if of then v[op.roles[i]] = of(input) else v[op.roles[i]] = input end
  end
  return v
end

--- Add the value that an operation gives. @param inputs by role @param attributes its kind's, or nil @return the value
function Graph:value(kind, inputs, attributes)
  local op = { kind = kind, inputs = {}, roles = {}, label = self.label }
  for key, value in pairs(attributes or {}) do op[key] = value end
  local where = ("graph: %s: %s"):format(tostring(self.label), tostring(kind))
  local entry = checked(op, where)
  local function take(role, value)
    op.inputs[#op.inputs + 1], op.roles[#op.roles + 1] = value, role
  end
  for role in pairs(inputs) do
    if math.type(role) ~= "integer" then closed.member(role, entry.roles, where .. ": input") end
  end
  for _, role in ipairs(entry.roles) do
    if role == "..." then
      for i, value in ipairs(inputs) do take(i, value) end
    elseif inputs[role] then take(role, inputs[role])
    elseif not entry.optional[role] then error(("%s: expected an input %s, found none"):format(where, role), 0)
    end
  end
  op.shape = op.shape or entry.shape(op, graph.by_role(op))
  op.type = entry.type and entry.type(op, graph.by_role(op)) or op.inputs[1] and op.inputs[1].type or types.BASE
  if op.counted == nil and entry.counted then op.counted = entry.counted(op, graph.by_role(op)) end
  if op.counted == nil then op.counted = op.inputs[1] and op.inputs[1].counted or false end
  op.id = #self.values + 1
  self.values[op.id] = op
  return op
end

--- A value that comes from outside. @param name what it is given as
function Graph:input(name, shape, counted)
  local value = self:value("input", {}, { name = name, shape = shape, counted = counted or false })
  self.inputs[name] = value
  return value
end

--- A tensor of the checkpoint, as it is packed. @param declaration networks/parameters.lua's @param tensor what it is
-- in the model
function Graph:parameter(declaration, tensor)
  return self:value("parameter", {}, { name = declaration.name, tensor = tensor, shape = tensor.shape })
end

--- What is computed of parameters when code is generated, as weights are. @param name as a tensor's: where it is in the
-- network @param make function() -> tensor @param sources names of tensors @param rows function(first, count): some of
-- its rows alone, or nil
function Graph:constant(name, shape, make, sources, rows)
  return self:value("constant", {}, { name = name, make = make, sources = sources, shape = shape, rows = rows })
end

--- Name the memory that a value is in between layers; those that take its place have it, too.
function Graph:named(name, value)
  value.buffer = name
  return value
end

--- A value that is never put where one lies that it is made of.
function Graph:apart(value)
  value.apart = true
  return value
end

--- Name a result.
function Graph:output(name, value)
  self.outputs[name] = value
  return value
end

for kind, entry in pairs(ops.table) do
  if #entry.roles > 0 then
    -- Inputs in their order, nil for one that is left out, then attributes; of any number of inputs, a list.
    Graph[kind] = function(self, ...)
      if entry.roles[1] == "..." then return self:value(kind, ...) end
      local inputs = {}
      for i, role in ipairs(entry.roles) do inputs[role] = (select(i, ...)) end
      return self:value(kind, inputs, (select(#entry.roles + 1, ...)))
    end
  end
end

local function attribute_text(op)
  local words = {}
  for _, key in ipairs(closed.sorted(ops.table[op.kind].attributes)) do
    local value = op[key]
    if value ~= nil and type(value) ~= "table" and type(value) ~= "function" and type(value) ~= "userdata" then
      words[#words + 1] = ("%s=%s"):format(key, tostring(value))
    end
  end
  return table.concat(words, " ")
end

local function shape_text(value)
  local dims = {}
  for i, n in ipairs(value.shape) do dims[i] = (i == 1 and value.counted and "<=" or "") .. n end
  return "[" .. table.concat(dims, ",") .. "]"
end

local function cost_text(op)
  local entry, v = ops.table[op.kind], graph.by_role(op)
  local macs, bytes = entry.macs(op, v), entry.bytes(op, v)
  if macs > 0 then return ("; %d multiply-adds, %d bytes"):format(macs, bytes) end
  return bytes > 0 and ("; %d bytes"):format(bytes) or ""
end

--- A value by itself: kind(operands) [sizes], each operand by its number, a tensor or an input by its name.
function graph.line(op)
  local from = {}
  for i, input in ipairs(op.inputs) do from[i] = #input.inputs == 0 and input.name or "%" .. input.id end
  return ("%s(%s) %s"):format(op.kind, table.concat(from, ", "), shape_text(op))
end

--- The graph as text, a line a value: label: %id type shape = kind(%id, ...) attributes name; multiply-adds, bytes
function Graph:text()
  local out = {}
  for _, op in ipairs(self.values) do
    local from = {}
    for i, input in ipairs(op.inputs) do from[i] = "%" .. input.id end
    local words = ("%s: %%%d %s %s = %s(%s) %s %s"):format(op.label or "-", op.id, op.type, shape_text(op), op.kind,
      table.concat(from, ", "), attribute_text(op), op.name or "")
    out[#out + 1] = words:gsub("%s+$", ""):gsub("  +", " ") .. cost_text(op)
  end
  for _, name in ipairs(closed.sorted(self.outputs)) do out[#out + 1] = ("output %s = %%%d"):format(name,
    self.outputs[name].id) end
  return table.concat(out, "\n") .. "\n"
end

--- The graph for Graphviz: a cluster a layer; tensors of the checkpoint are left out.
function Graph:dot()
  local out, layers, order = { "digraph {",
    "  rankdir = TB; node [shape = box, fontname = monospace, fontsize = 10];" }, {}, {}
  local function shown(op) return op.kind ~= "parameter" and op.kind ~= "constant" end
  for _, op in ipairs(self.values) do
    if shown(op) then
      local label = op.label or "inputs"
      if not layers[label] then
        layers[label] = {}
        order[#order + 1] = label
      end
      table.insert(layers[label], op)
    end
  end
  for i, label in ipairs(order) do
    out[#out + 1] = ("  subgraph cluster_%d { label = %q;"):format(i, label)
    for _, op in ipairs(layers[label]) do
      out[#out + 1] = ("    v%d [label = %q];"):format(op.id,
        (op.name and op.name .. " " or "") .. op.kind .. " " .. shape_text(op))
    end
    out[#out + 1] = "  }"
  end
  for _, op in ipairs(self.values) do
    for _, input in ipairs(op.inputs) do
      if shown(op) and shown(input) then out[#out + 1] = ("  v%d -> v%d;"):format(input.id, op.id) end
    end
  end
  out[#out + 1] = "}"
  return table.concat(out, "\n") .. "\n"
end

-- A value as it is where what is counted are so many.
local function counted(value, count)
  if not value.counted or not count then return value end
  local shape = table.move(value.shape, 1, #value.shape, 1, {})
  shape[1] = count
  return { type = value.type, shape = shape }
end

--- Multiply-adds of each label, and their sum. @param count of the prompt's tokens; nil for as many as there may be
function Graph:macs(count)
  local by_label, sum = {}, 0
  for _, op in ipairs(self.values) do
    local n = ops.table[op.kind].macs(op, graph.by_role(op, function(input) return counted(input, count) end))
    by_label[op.label or ""] = (by_label[op.label or ""] or 0) + n
    sum = sum + n
  end
  return by_label, sum
end

return graph

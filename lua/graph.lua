-- SPDX-License-Identifier: Apache-2.0
--- The graph that passes work on: values of fixed shape, and operations that are data.
-- An operation says what is computed, never how: { kind, layer, inputs, outputs, params, ... } where inputs and outputs
-- name values, params hold the checkpoint's tensors by role, and the rest are attributes. `layer` names the generated
-- function that the operation will be a part of. Operations stand in an order in which they can be run.
local graph = {}
graph.__index = graph

function graph.new() return setmetatable({ values = {}, value_order = {}, ops = {} }, graph) end

--- Add a value of `rows` rows of `width` floats. @return its name
function graph:value(name, rows, width)
  assert(not self.values[name], name)
  self.values[name] = { name = name, rows = rows, width = width }
  self.value_order[#self.value_order + 1] = name
  return name
end

--- Append an operation. @param fields attributes, params among them
function graph:op(kind, layer, inputs, outputs, fields)
  local op = { kind = kind, layer = layer, inputs = inputs, outputs = outputs, params = {} }
  for k, v in pairs(fields or {}) do op[k] = v end
  for _, name in ipairs(inputs) do assert(self.values[name], name) end
  for _, name in ipairs(outputs) do assert(self.values[name], name) end
  self.ops[#self.ops + 1] = op
  return op
end

--- The operations of one kind, in order; safe while operations are changed in place.
function graph:each(kind)
  local i = 0
  return function()
    repeat i = i + 1 until not self.ops[i] or self.ops[i].kind == kind
    return self.ops[i]
  end
end

--- The operations by layer, in order: {{name, op, op...}...}.
function graph:layers()
  local list = {}
  for _, op in ipairs(self.ops) do
    local last = list[#list]
    if not last or last.name ~= op.layer then
      last = { name = op.layer }
      list[#list + 1] = last
    end
    last[#last + 1] = op
  end
  return list
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

--- The graph as text: a line an operation.
function graph:dump()
  local out = {}
  for _, op in ipairs(self.ops) do
    local function shapes(names)
      local t = {}
      for i, name in ipairs(names) do
        local v = self.values[name]
        t[i] = ("%s[%d,%d]"):format(name, v.rows, v.width)
      end
      return table.concat(t, " ")
    end
    local rest = {}
    for _, k in ipairs(sorted_keys(op)) do
      local v = op[k]
      if k ~= "kind" and k ~= "layer" and type(v) ~= "table" then rest[#rest + 1] = ("%s=%s"):format(k, tostring(v)) end
    end
    for _, role in ipairs(sorted_keys(op.params)) do rest[#rest + 1] = ("%s:%s"):format(role, op.params[role].name) end
    out[#out + 1] = ("%s: %s(%s) -> %s  %s"):format(op.layer, op.kind, shapes(op.inputs), shapes(op.outputs), table.concat(rest, " "))
  end
  return table.concat(out, "\n") .. "\n"
end

return graph

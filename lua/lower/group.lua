-- SPDX-License-Identifier: Apache-2.0
--- A layer's operations in a graph: who uses what, what comes from other layers, what others take.

local Group = {}
Group.__index = Group

local group = {}

local WEIGHT = { parameter = true, constant = true, input = true }

--- The users of each value of a graph: value -> list of operations.
function group.users(graph)
  local users = {}
  for _, op in ipairs(graph.values) do users[op] = {} end
  for _, op in ipairs(graph.values) do
    for _, input in ipairs(op.inputs) do table.insert(users[input], op) end
  end
  return users
end

--- What of a graph depends on what it is given: value -> set of names of inputs.
function group.dependence(graph)
  local of = {}
  for _, op in ipairs(graph.values) do
    local names = op.kind == "input" and { [op.name] = true } or {}
    for _, from in ipairs(op.inputs) do
      for name in pairs(of[from]) do names[name] = true end
    end
    of[op] = names
  end
  return of
end

-- A layer is part of encoding where the image alone is in it.
local function phase_of(one, dependence)
  for _, op in ipairs(one.ops) do
    for name in pairs(dependence[op]) do
      if name ~= "image" then return "decode" end
    end
  end
  return "encode"
end

--- The layers of a graph, in order: { label, phase, ops, inputs = values of other layers and of outside, outputs =
-- values that others take or that are the graph's }.
function group.list(graph)
  local list, by_label, users, kept, dependence = {}, {}, group.users(graph), {}, group.dependence(graph)
  for _, value in pairs(graph.outputs) do kept[value] = true end
  for _, op in ipairs(graph.values) do
    if not WEIGHT[op.kind] then
      local one = by_label[op.label]
      if not one then
        one = setmetatable({ label = op.label, ops = {}, inputs = {}, outputs = {}, users = users,
          dependence = dependence }, Group)
        by_label[op.label] = one
        list[#list + 1] = one
      end
      one.ops[#one.ops + 1] = op
    end
  end
  for _, one in ipairs(list) do
    local seen = {}
    for _, op in ipairs(one.ops) do
      for _, input in ipairs(op.inputs) do
        local outside = input.kind == "input" or not WEIGHT[input.kind] and input.label ~= one.label
        if outside and not seen[input] then
          seen[input] = true
          one.inputs[#one.inputs + 1] = input
        end
      end
      local taken = kept[op]
      for _, user in ipairs(users[op]) do taken = taken or user.label ~= one.label end
      if taken then one.outputs[#one.outputs + 1] = op end
    end
    one.phase = phase_of(one, dependence)
  end
  return list, by_label
end

--- A layer that was put together elsewhere: { label, ops, inputs, outputs, users, dependence }.
function group.of(one) return setmetatable(one, Group) end

--- The n-th (default first) operation of a kind, or nil.
function Group:op(kind, n)
  n = n or 1
  for _, op in ipairs(self.ops) do
    if op.kind == kind then
      n = n - 1
      if n == 0 then return op end
    end
  end
end

--- The one operation that uses a value, or nil where there are several, or where another layer takes it.
function Group:only_user(value)
  local list = self.users[value]
  return #list == 1 and list[1].label == self.label and list[1] or nil
end

--- Operations that a value is made of within the layer, it included, as a set.
function Group:closure(value, set)
  set = set or {}
  if set[value] or WEIGHT[value.kind] or value.label ~= self.label then return set end
  set[value] = true
  for _, input in ipairs(value.inputs) do self:closure(input, set) end
  return set
end

--- Those of a set, in order.
function Group:ordered(set)
  local list = {}
  for _, op in ipairs(self.ops) do
    if set[op] then list[#list + 1] = op end
  end
  return list
end

--- Whether what is computed of a value changes with an input of the graph.
function Group:depends(value, name) return self.dependence[value][name] or false end

--- An input of an operation by its role, or nil.
function group.input(op, role)
  for i, name in ipairs(op.roles) do
    if name == role then return op.inputs[i] end
  end
end

return group

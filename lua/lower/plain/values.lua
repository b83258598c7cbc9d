-- SPDX-License-Identifier: Apache-2.0
--- Where the values of a program are that is lowered operation by operation: frozen weights in the weights, as kernels
-- read them; what trains, row by row in the arena; what is needed beyond the loop that makes it, in a buffer of its own
-- for as long as anything needs it.

local fail = require "support.fail"
local kernels = require "kernels.kernels"
local order = require "lower.plain.order"
local parts = require "lower.parts"
local segment = require "lower.segment"
local steps = require "lower.steps"
local types = require "graph.types"

local Values = {}
Values.__index = Values

local values = {}

local stride = kernels.stride

--- @param operations all of the graph's @param trained list of parameters: each { value, at = elements from the start
-- of the parameters, stride }
-- Fields that whoever makes it may set: names (value -> name of its buffer), dense (values whose rows lie without
-- gaps), slices (inputs that are a slice of their buffer, the one that slice() is the variable of)
function values.new(operations, trained)
  local seg = segment.new()
  local self = setmetatable({ segment = seg, parts = parts.new(seg, operations), buffers = {}, views = {}, at = {},
    trained = {}, sink = {}, moment = 0, names = {}, dense = {}, slices = {} }, Values)
  for _, one in ipairs(trained.list) do self.trained[one.value] = one end
  self.parameters = self:buffer("parameters", math.max(trained.elements, 16), nil, true)
  self.gradients = self:buffer("gradient", math.max(trained.elements, 16), nil, true)
  return self
end

--- A buffer of the arena. @param always it is there as long as the session is @return its view
function Values:buffer(name, elements, row_stride, always)
  local made = self.buffers[name]
  if not made then
    made = { name = name, type = types.BASE, bytes = types.lines(types.bytes(types.BASE, elements)),
      stride = row_stride or elements, first = always and 0 or nil, last = always and math.huge or nil }
    made.view = steps.buffer(made)
    self.buffers[name], self.buffers[#self.buffers + 1] = made, made
  end
  self:touch(made)
  return made.view
end

--- A buffer is used at this moment.
function Values:touch(made)
  made.first = math.min(made.first or self.moment, self.moment)
  made.last = math.max(made.last or self.moment, self.moment)
end

--- Memory that only this stage has. @return its view
function Values:work(base, elements, row_stride)
  self.count = (self.count or 0) + 1
  return self:buffer(("%s_%d"):format(base, self.count), elements, row_stride)
end

--- The gradient of what trains.
function Values:gradient(one) return self.gradients:with_rows(one.stride) + one.at end

local function is_weight(value) return value.kind == "parameter" or value.kind == "constant" end

--- Whether a value is a weight that stays as it is.
function Values:frozen(value) return is_weight(value) and not self.trained[value] end

--- The memory of a value that is whole: rows, storage.stride apart. Of a view, its input's.
function Values:whole(value)
  if self.trained[value] then
    local one = self.trained[value]
    self:touch(self.buffers.parameters)
    return self.parameters:with_rows(one.stride) + one.at
  end
  if self:frozen(value) then return self:frozen_rows(value) end
  if self.sink[value] then return self:gradient(self.sink[value]) end
  if value.kind == "input" or not (order.is_view(value) or order.is_alias(value)) then
    local name = self.names[value] or value.kind == "input" and value.name or ("%s_%s"):format(value.kind, value.id)
    local width, rows = order.width(value), order.rows(value)
    local ld = self.dense[value] and width or stride(width)
    if self.slices[value] then return self:buffer(name, rows * ld, ld) + self.slice() * (rows * ld) end
    return self:buffer(name, rows * ld, ld)
  end
  local x = self:whole(value.inputs[1])
  if value.kind ~= "slice" then return x end
  local shape = value.inputs[1].shape
  if #shape == 1 then return x + value.first end
  return x + value.first * (order.rows(value.inputs[1]) // shape[1]) * x:ld()
end

--- A frozen matrix as rows in the weights.
function Values:frozen_rows(value)
  local width, rows = order.width(value), order.rows(value)
  local role = self.parts:role(value) .. "_rows"
  self.parts:other(role, function()
    self.segment:rows(role, rows, width, stride(width), function()
      return self.parts.tensor_of(value):reshape { rows, width }:rename(value.name)
    end, self.parts.sources_of(value))
  end)
  return steps.part_of(self.segment, role, stride(width))
end

--- A frozen matrix in panels.
function Values:panels(value) return steps.part_of(self.segment, self.parts:panels(value)) end

--- A vector, frozen or trained.
function Values:vector(value)
  if not self:frozen(value) then return self:whole(value) end
  return steps.part_of(self.segment, self.parts:vector(value))
end

--- Gamma and, round16(C) further, beta.
function Values:norm(gamma, beta)
  if self:frozen(gamma) ~= self:frozen(beta) then
    fail("train: %s: expected to train together with %s, found one alone", gamma.name, beta.name)
  end
  if self:frozen(gamma) then return steps.part_of(self.segment, self.parts:norm(gamma, beta)) end
  local a, b = self.trained[gamma], self.trained[beta]
  assert(b.at - a.at == kernels.round16(order.width(gamma)), gamma.name)
  return self:whole(gamma)
end

--- Gamma alone.
function Values:gamma(gamma)
  if not self:frozen(gamma) then return self:whole(gamma) end
  return steps.part_of(self.segment, self.parts:role(gamma))
end

return values

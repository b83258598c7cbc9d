-- SPDX-License-Identifier: Apache-2.0
--- A layer on its way from operations to a step: what its nest (lua/kernels/nests/) works with.

local buffers = require "schedule.buffers"
local group = require "lower.group"
local parts = require "lower.parts"
local print = require "emit.print"
local segment = require "lower.segment"
local steps = require "lower.steps"
local types = require "graph.types"

local Layer = {}
Layer.__index = Layer

local layer = {}

--- @param one a group (lower/group.lua) @param ctx { model, kernels, cores, strip_rows, token_rows, token_chunk,
-- buffers
-- = value -> buffer } @param private roles of weights that differ between banks, or nil
function layer.new(one, ctx, private)
  local seg = segment.new(private)
  return setmetatable({ group = one, ctx = ctx, K = ctx.kernels, model = ctx.model, segment = seg,
    parts = parts.new(seg, one.ops), step = steps.new(one.label, seg), views = {}, arguments = {} }, Layer)
end

--- The buffer of a value of another layer, or of one that this layer leaves, as a view.
function Layer:buffer(value)
  local made = self.ctx.buffers[value] or error(("lower: layer %s: a value without a buffer"):format(self.group.label))
  if not self.views[made] then self.views[made] = steps.buffer(made) end
  return self.views[made]
end

--- The same of a value that a layer takes: of what is encoded, a slice's part, by a pointer that the function is given.
function Layer:given(value)
  if value.kind ~= "input" or value.counted then return self:buffer(value) end
  local storage, rows = self:buffer(value).storage, buffers.rows_of(value)
  local known = self.arguments[value]
  if not known or known[1] ~= self.step then
    known = { self.step, self.step:parameter("const float *" .. value.name, function(at)
      return print.slice("arena", at[value.name], types.bytes(storage.type, rows * storage.stride))
    end, storage.stride) }
    self.arguments[value] = known
  end
  return known[2]
end

--- Whether a value's memory is this layer's to write over: something that it leaves takes it.
function Layer:gives_up(value)
  local mine = self.ctx.buffers[value]
  if not mine or value.kind == "input" then return false end
  for _, output in ipairs(self.group.outputs) do
    if self.ctx.buffers[output] == mine then return true end
  end
  return false
end

--- The operations of a group but those of a set, in order.
function layer.without(one, set)
  local list = {}
  for _, op in ipairs(one.ops) do
    if not set[op] then list[#list + 1] = op end
  end
  return list
end

--- The largest divisor of `count` that, times `each`, is at most `most`; 1 if none is.
function layer.divisor(count, each, most)
  local best = 1
  for n = 1, count do
    if count % n == 0 and n * each <= most then best = n end
  end
  return best
end

layer.input, layer.rows_of, layer.stride = group.input, buffers.rows_of, require("kernels.kernels").stride

return layer

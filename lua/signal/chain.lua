-- SPDX-License-Identifier: Apache-2.0
--- What the kinds of front ends are lowered with: their steps, the buffers between them, the tables that they read.

local segment = require "lower.segment"
local steps = require "lower.steps"
local tensor = require "msagen.tensor"
local types = require "graph.types"

local Chain = {}
Chain.__index = Chain

local AT_ONCE = 128 -- numbers that string.pack takes

-- @return the tensor f32 of a list of numbers
local function floats(list)
  local pieces = {}
  for i = 1, #list, AT_ONCE do
    local last = math.min(i + AT_ONCE - 1, #list)
    pieces[#pieces + 1] = string.pack("<" .. ("f"):rep(last - i + 1), table.unpack(list, i, last))
  end
  return tensor.frombytes(table.concat(pieces), "f32", { #list })
end

--- An empty chain. @param p a checked description @param K the board's kernels @param W lines at a time
-- @param more fields of its own @return what lua/signal/front.lua says of lowered front ends
function Chain.new(p, K, W, more)
  local self = { p = p, K = K, W = W, steps = {}, segment = segment.new(), buffers = {}, places = {}, views = {} }
  for key, value in pairs(more or {}) do self[key] = value end
  return setmetatable(self, Chain)
end

--- A table of the segment, in the step that reads it. @return its view
function Chain:part(step, role, list)
  if not self.segment.at[role] then
    self.segment:vector(role, #list, function() return floats(list) end, {})
  end
  return step:part(role)
end

--- A buffer of the arena. @param place what buffers have in common that are not needed at the same time, or nil: it has
-- its own @param type_ of elements, or nil: floats @param stride of its rows, or nil @return its view
function Chain:buffer(name, elements, place, type_, stride)
  local bytes = types.lines(types.bytes(type_ or types.BASE, elements))
  local made = { name = name, type = type_ or types.BASE, bytes = bytes, stride = stride, place = place or name }
  self.places[made.place] = math.max(self.places[made.place] or 0, bytes)
  self.buffers[#self.buffers + 1] = made
  self.views[name] = steps.buffer(made)
  return self.views[name]
end

--- The next step. @param what a sentence @param per "batch" of lines, or "frame" @param build function(step, body)
function Chain:step(name, what, per, build)
  local step = steps.new("front_" .. name, self.segment)
  self.steps[#self.steps + 1] = { name = name, what = what, per = per, step = step }
  step:stage("zero", function(body) build(step, body) end)
end

return Chain

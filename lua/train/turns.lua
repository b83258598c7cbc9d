-- SPDX-License-Identifier: Apache-2.0
--- Trainers of several objectives of one encoder, a step each in turn, as one trainer. What they train together is
-- shared: who trains next begins with what the last one left. Each has an optimiser of its own: its own moments, and
-- its own count of steps.

local kinds = require "graph.kinds"
local tensor = require "msagen.tensor"

local Turns = {}
Turns.__index = Turns

local turns = {}

--- @param list of trainers (lua/train/passes.lua), in the order of their turns
function turns.of(list)
  local self = setmetatable({ list = list, now = list[1], parameters = {}, owner = {}, model = list[1].model,
    class = list[1].class }, Turns)
  local floats, seen = 0, {}
  for i, trainer in ipairs(list) do
    for _, one in ipairs(trainer.parameters) do
      if not seen[one.name] then
        local count = kinds.product(one.shape)
        self.parameters[#self.parameters + 1] = { name = one.name, shape = one.shape, offset = floats, count = count }
        seen[one.name], self.owner[one.name], floats = true, i, floats + count
      end
    end
  end
  return self
end

-- Values of some trainers by number, each asked once.
local function source(self)
  local flats = {}
  return function(i, one)
    if not flats[i] then
      local flat, places = self.list[i]:values "parameters", {}
      for _, own in ipairs(self.list[i].parameters) do places[own.name] = own.offset end
      flats[i] = { flat = flat:reshape { flat:numel() }, places = places }
    end
    return flats[i].flat:slice(1, flats[i].places[one.name], kinds.product(one.shape))
  end
end

local function joined(parts)
  local bytes, count = {}, 0
  for i, part in ipairs(parts) do bytes[i], count = part:tobytes(), count + part:numel() end
  return tensor.frombytes(table.concat(bytes), "f32", { count })
end

--- The trainer whose turn a step is, from 0, gets what the others have left. @return it, and its number
function Turns:turn(step)
  local at = step % #self.list + 1
  local trainer, foreign = self.list[at], false
  self.now = trainer
  for _, one in ipairs(trainer.parameters) do foreign = foreign or self.owner[one.name] ~= at end
  if foreign then
    local value, parts = source(self), {}
    for i, one in ipairs(trainer.parameters) do parts[i] = value(self.owner[one.name], one) end
    trainer:set("parameters", joined(parts))
  end
  for _, one in ipairs(trainer.parameters) do self.owner[one.name] = at end
  return trainer, at
end

function Turns:pass(...) return self.now:pass(...) end
function Turns:backward(of) return self.now:backward(of) end
function Turns:image_end() return self.now:image_end() end
function Turns:update(rule) return self.now:update(rule) end

function Turns:values(kind)
  if kind == "gradient" then return self.now:values(kind) end
  local parts = {}
  if kind == "parameters" then
    local value = source(self)
    for i, one in ipairs(self.parameters) do parts[i] = value(self.owner[one.name], one) end
  else
    for i, trainer in ipairs(self.list) do parts[i] = trainer:values(kind) end
  end
  return joined(parts)
end

-- A flat tensor of numbers a part at a time.
local function taken(value)
  local flat, at = value:reshape { value:numel() }, 0
  return function(count)
    at = at + count
    return flat:slice(1, at - count, count)
  end
end

local function set_parameters(self, value)
  local flat = value:reshape { value:numel() }
  local places = {}
  for _, one in ipairs(self.parameters) do places[one.name] = one end
  for _, trainer in ipairs(self.list) do
    local parts = {}
    for i, one in ipairs(trainer.parameters) do
      parts[i] = flat:slice(1, places[one.name].offset, places[one.name].count)
    end
    trainer:set("parameters", joined(parts))
  end
end

function Turns:set(kind, value)
  if kind == "gradient" then return self.now:set(kind, value) end
  if kind == "parameters" then return set_parameters(self, value) end
  local take = kind ~= "step" and taken(value)
  for i, trainer in ipairs(self.list) do
    -- Of so many steps each trainer has had those that were its turn.
    if kind == "step" then trainer:set("step", (value - i + #self.list) // #self.list)
    else trainer:set(kind, take(trainer:values(kind):numel())) end
  end
end

function Turns:close()
  for _, trainer in ipairs(self.list) do
    if trainer.close then trainer:close() end
  end
end

return turns

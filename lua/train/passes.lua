-- SPDX-License-Identifier: Apache-2.0
--- A trainer of pre-training by the graph's interpreter. What trainers have in common, lua/train/interpreted.lua says;
-- in place of encode and decode this one has
--   pass(picture, chosen)  u8 [H,W,3]; chosen as an objective's choose() says -> the prediction [rows,width]
--   backward(of)           of the last pass: { marked = list of booleans }: the gradient of the objective's own loss,
--                          -> { loss }; or { gradient = of the prediction }
-- followed by image_end(). Of an objective of pairs each picture has two passes, which count as one image of update.

local interpreted = require "train.interpreted"
local losses = require "msagen.pretrain"
local objectives = require "train.objectives"
local tensor = require "msagen.tensor"

local parts = interpreted.parts

local Passes = setmetatable({}, { __index = parts.Trainer })
Passes.__index = Passes

local passes = {}

--- @param m a model description with tensors (import.load); in float64 of an import within interpretation.in_class
-- @param options class; sizes, head, seed: as objectives.network takes them
function passes.of(m, name, options)
  local self = parts.empty(m, options.class, Passes)
  return parts.in_class(self, function()
    self.objective = objectives.named(name, "--objective")
    local net = objectives.network(m, name, options)
    self.sizes = net.sizes
    return parts.with_network(self, net)
  end)
end

local function column(list) return tensor.from(list, { #list, 1 }) end

local function pass(self, picture, chosen)
  local m = self.model
  local given = { patches = parts.patches_of(m, (parts.pixels_of(self, picture))) }
  if chosen.index then given.index = column(chosen.index) end
  if chosen.back then given.back = column(chosen.back) end
  if chosen.shares then
    given.shares = tensor.from(chosen.shares, { 1, 2 })
    given.partner_patches = parts.patches_of(m, (parts.pixels_of(self, chosen.partner)))
  end
  self.last = { given = given, known = {} }
  self.prediction = self:run(given, { "prediction" }, self.last.known).prediction
  return self.prediction
end

--- A list of booleans as the losses take it.
function passes.marks(list)
  local bytes = {}
  for i, is_marked in ipairs(list) do bytes[i] = is_marked and "\1" or "\0" end
  return tensor.frombytes(table.concat(bytes), "u8", { #list })
end

local function backward(self, of)
  local loss, gradient = nil, of.gradient
  if not gradient then
    local set, marks = losses.of(self.class), passes.marks(of.marked)
    if self.objective.loss == "reconstruction" then
      loss, gradient = set.reconstruction(self.prediction, self.last.given.patches, marks)
    else loss, gradient = set.moved(self.prediction, marks)
    end
  end
  self.last.given.dprediction = gradient
  self.gradients = self:run(self.last.given, parts.wanted_of(self, true), self.last.known)
  for name, dx in pairs(self:run(self.last.given, parts.wanted_of(self, false), self.last.known)) do
    self.gradients[name] = dx
  end
  return { loss = loss }
end

local function image_end(self)
  self:join_picture()
  self.last, self.prediction, self.gradients = nil, nil, nil
end

function Passes:pass(picture, chosen) return parts.in_class(self, pass, picture, chosen) end
function Passes:backward(of) return parts.in_class(self, backward, of) end
function Passes:image_end() return parts.in_class(self, image_end) end

return passes

-- SPDX-License-Identifier: Apache-2.0
--- A trainer of pre-training by generated code. What it does, lua/train/passes.lua says.

local boards = require "target.boards"
local built = require "train.built"
local generated = require "train.generated"
local objectives = require "train.objectives"
local passes = require "train.passes"

local ask, floats, status, words = generated.parts.ask, generated.parts.floats, generated.parts.status,
  generated.parts.words

local Passes = setmetatable({}, { __index = generated.parts.Trainer })
Passes.__index = Passes

local generated_passes = {}

--- Compile an objective's network into a folder, and start it.
-- @param options objectives.network's, built.lower's and generated.of's
function generated_passes.of(m, name, options)
  generated.parts.runnable(options.board and boards.named(options.board, "--board") or boards.best())
  function options.network() return objectives.network(m, name, options) end
  options.from = "pass"
  local build = built.lower(m, nil, options)
  local self = generated.start(build, options, Passes)
  self.objective, self.sizes, self.class = build.net.objective, build.net.sizes, build.arithmetic
  self.rows = build.net.graph.outputs.prediction.shape
  return self
end

local function image(picture) return words(picture.shape[2], picture.shape[1], 1) .. picture:tobytes() end

-- Rows' numbers, one word each.
local function numbers(list)
  local parts = {}
  for i, n in ipairs(list or {}) do parts[i] = string.pack("<I4", n) end
  return table.concat(parts)
end

function Passes:pass(picture, chosen)
  local shares = chosen.shares or { 1, 0 }
  ask(self, "C\0\0\0", string.pack("<ff", shares[1], shares[2]), image(picture),
    chosen.partner and image(chosen.partner) or "", numbers(chosen.index), numbers(chosen.back))
  status(self, "encode")
  return floats(self, self.rows)
end

function Passes:backward(of)
  ask(self, "L\0\0\0", of.gradient and of.gradient:tobytes() or passes.marks(of.marked):tobytes())
  status(self, "loss")
  if of.gradient then return {} end
  return { loss = (string.unpack("<d", generated.parts.answer(self, 8))) }
end

return generated_passes

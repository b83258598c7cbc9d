-- SPDX-License-Identifier: Apache-2.0
--- Perceptrons on single tokens: the score's, and a mask's each, whose results become the columns of the weights that
-- the masks are made with.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local operands = require "lower.operands"

local input = layers.input
local round16 = kernels.round16

local nest = {}

-- The products of a chain from a token to `value`, its activations with them. @return the view of the result
local function chain(layer, body, value, last, pair)
  local from, turn
  for _, op in ipairs(layer.group:ordered(layer.group:closure(value))) do
    if op.kind == "slice" then from, turn = last:row(op.first), 1
    elseif op.kind == "linear" then
      local w, bias, user = input(op, "w"), input(op, "bias"), layer.group:only_user(op)
      local to = pair[turn]
      if op.precision then
        operands.make(op.precision, layer.K, body, 1, w.shape[2], from, pair.lowered)
        operands.product(op.precision, layer.K, body, layer.step.shared, 1, pair.lowered,
          layer.step:part(layer.parts:panels(w, op.precision)), to, { N = w.shape[1], K = w.shape[2], ldc = 16,
            bias = layer.step:part(layer.parts:vector(bias)),
            act = user and user.kind == "act" and user.f or nil })
      else body:call(layer.K:gemm { M = 1, N = w.shape[1], K = w.shape[2], lda = 16, ldc = 16, init = "bias",
        act = user and user.kind == "act" and user.f }, from, layer.step:part(layer.parts:panels(w)),
        layer.step:part(layer.parts:vector(bias)), to) end
      from, turn = to, 3 - turn
    end
  end
  return from
end

-- The precision of the maps, or nil.
local function precision_of(one)
  for _, op in ipairs(one.ops) do
    if op.precision then return op.precision end
  end
end

-- A stage; where weights come in pieces, each perceptron's are one.
local function next_stage(layer, build)
  if layer.pieces then
    layer.segment:piece()
    layer.step:fetch()
  end
  layer.step:stage("zero", build)
end

-- The perceptron that gives column m of a product's weights, from 1.
local function column(layer, value, m, row, last, pair, to)
  local masks, width = #value.inputs, value.shape[2]
  next_stage(layer, function(body)
    if m == 1 then body:zero(to, round16(masks) * width) end
    local result = chain(layer, body, row, last, pair)
    body:each({ variable = "k", to = width }, function(inner, k)
      inner:assign(to + ((m - 1) // 16 * 16 * width + (m - 1) % 16) + k * 16, result + k)
    end)
  end)
end

function nest.heads(layer)
  local one, step = layer.group, layer.step
  local widest = 0
  for _, op in ipairs(one.ops) do
    if op.kind == "linear" then widest = math.max(widest, round16(op.shape[2])) end
  end
  local pair = { step.shared:take("a", widest, 16), step.shared:take("b", widest, 16) }
  local precision = precision_of(one)
  if precision then
    pair.lowered = operands.take(precision, layer.K, step.shared, "whole", 1, widest)
  end
  local last = layer:buffer(one.inputs[1])
  for _, value in ipairs(one.outputs) do
    local to = layer:buffer(value)
    if value.kind == "concat" then
      for m, row in ipairs(value.inputs) do column(layer, value, m, row, last, pair, to) end
    else
      next_stage(layer, function(body) body:copy(to, chain(layer, body, value, last, pair), value.shape[2]) end)
    end
  end
end

return { { name = "heads", lower = nest.heads, pieces = true, kind = function() return "heads" end,
  fits = function(one) return one:op "concat" ~= nil end } }

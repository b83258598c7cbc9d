-- SPDX-License-Identifier: Apache-2.0
--- Quantise: products of some layers take operands of lower precision. Their operations get the attribute `precision`;
-- what it computes is theirs to say (lua/graph/ops/).
-- Keys lose their biases, which add the same to all logits of a query: softmax does not see it, a row's 8 bits do.

local group = require "lower.group"

local input = group.input

local function is_weight(value) return value and (value.kind == "parameter" or value.kind == "constant") end

-- Whether an operation has a form in lower precision, by kind. @param encodes is its layer the encoder's
local FORMS = {
  linear = function(op) return not op.value and not input(op, "start") and is_weight(input(op, "w")) end,
  conv = function(op) return op.sums == "tap" and not input(op, "bias") and is_weight(input(op, "w")) end,
  conv_transpose = function(op) return is_weight(input(op, "w")) end,
  attention = function(op, encodes) return encodes and op.grid ~= nil and not op.causal end,
  table_attention = function(_, encodes) return encodes end,
}

local function without(op, role)
  local inputs, roles = {}, {}
  for i, name in ipairs(op.roles) do
    if name ~= role then inputs[#inputs + 1], roles[#roles + 1] = op.inputs[i], name end
  end
  op.inputs, op.roles = inputs, roles
end

-- Keys of an attention without their bias: those of padding likewise. @param users value -> operations
local function drop_key_bias(op, users)
  local keys, pad = input(op, "k"), input(op, "k_pad")
  if keys.kind ~= "linear" or #users[keys] > 1 then return end
  if pad and not pad.unbiased then return end
  without(keys, "bias")
  if pad then pad.make, pad.sources, pad.unbiased = pad.unbiased, pad.unbiased_sources, nil end
end

--- @param graph its operations are changed @param precision_of function(label, encodes) -> a layer's precision
-- @return graph, and by label how many operations have lower precision
return function(graph, precision_of)
  local users, dependence, count = group.users(graph), group.dependence(graph), {}
  for _, op in ipairs(graph.values) do
    local encodes = true
    for name in pairs(dependence[op]) do encodes = encodes and name == "image" end
    local precision = op.label and precision_of(op.label, encodes) or "f32"
    if precision ~= "f32" and FORMS[op.kind] and FORMS[op.kind](op, encodes) then
      op.precision = precision
      count[op.label] = (count[op.label] or 0) + 1
      if op.kind == "attention" or op.kind == "table_attention" then drop_key_bias(op, users) end
    end
  end
  return graph, count
end

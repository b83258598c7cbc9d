-- SPDX-License-Identifier: Apache-2.0
--- Operations of the graph, one after the other, by the naive kernels of gen/reference.c: what generated code must equal bit for bit.
-- A value is a matrix [rows,width] under its name in the graph. Those of the decoder are of one slice and of as many tokens as there are.
local kernels = require "kernels"
local tensor = require "msagen.tensor"

local interpret = {}

local function f32(s) return (string.unpack("<f", string.pack("<f", s))) end

--- A linear map, of whatever shape its weight is stored in.
function interpret.linear(R, x, p) return R.linear(x, p.weight:reshape { p.weight.shape[1], -1 }, p.bias) end

--- An adapter's two maps with its activation between them; what it is added to is the caller's.
function interpret.adapter(R, x, op)
  local p = op.params
  return R.linear(R[op.act](R.linear(x, p.D_fc1_weight, p.D_fc1_bias)), p.D_fc2_weight, p.D_fc2_bias)
end

--- x + s y in one multiply-add, or x + y where there is no scale.
function interpret.add(R, x, y, scale) return R.add(x, y, scale and f32(scale)) end

--- One row for each of n.
function interpret.repeated(R, row, n)
  local list = {}
  for i = 1, n do list[i] = 0 end
  return R.rows(row, list)
end

local run = {}

function run.layernorm(R, op, x) return R.layernorm(x, op.params.weight, op.params.bias, op.eps) end
function run.linear(R, op, x) return interpret.linear(R, x, op.params) end
function run.gelu(R, _, x) return R.gelu(x) end
function run.relu(R, _, x) return R.relu(x) end
function run.add(R, op, x, y) return interpret.add(R, x, y, op.scale) end
function run.adapter(R, op, x) return interpret.adapter(R, x, op) end

-- The positions follow queries and keys; among tokens both have the same.
function run.attention(R, op, q, keys, q_position, k_position)
  local p, k = op.params, keys
  if op.query_position then q = R.add(q, q_position) end
  if op.key_position then k = R.add(keys, k_position or q_position) end
  local count = k.shape[1]
  local o = R.attention(R.linear(q, p.q_weight, p.q_bias), R.linear(k, p.k_weight, p.k_bias), R.linear(keys, p.v_weight, p.v_bias),
    { heads = op.heads, tile = kernels.key_tile(count), count = count })
  return R.linear(o, p.out_weight, p.out_bias)
end

-- D_fc1 x + D_fcp tokens is one sum with one bias, the first product's being in it before the second goes on.
function run.prompt_adapter(R, op, x, tokens)
  local p = op.params
  local bias = p.D_fc1_bias
  if p.D_fcp_bias then bias = bias and bias:add(p.D_fcp_bias) or tensor.zeros { p.D_fcp_bias:numel() }:add(p.D_fcp_bias) end
  local hidden = R.linear(tokens, p.D_fcp_weight, nil, R.linear(x, p.D_fc1_weight, bias))
  return R.add(x, R.linear(R.relu(hidden), p.D_fc2_weight, p.D_fc2_bias))
end

-- A mask prompt's 4 x 4 pixels of each token: [4 tokens,4], sub-squares row by row.
local function sub_squares(mask, grid)
  local values, out, side = mask:totable(), {}, 4 * grid
  for token = 0, grid * grid - 1 do
    local corner = token // grid * 4 * side + token % grid * 4
    for sub = 0, 3 do
      local at = corner + sub // 2 * 2 * side + sub % 2 * 2
      for _, pixel in ipairs { at, at + 1, at + side, at + side + 1 } do out[#out + 1] = values[pixel + 1] end
    end
  end
  return tensor.from(out, { 4 * grid * grid, 4 })
end

function run.add_dense_prompt(R, op, embedding, mask)
  local p, n = op.params, embedding.shape[1]
  if not mask then return R.add(interpret.repeated(R, R.packed(p.no_mask:reshape { 1, -1 }), n), embedding) end
  local w0, w3, w6 = p["0.weight"], p["3.weight"], p["6.weight"]
  local c1, c2 = w0.shape[1], w3.shape[1]
  local fine = R.linear(sub_squares(mask, math.tointeger(n ^ 0.5)), w0:reshape { c1, 4 }, p["0.bias"])
  fine = R.gelu(R.layernorm(fine, p["1.weight"], p["1.bias"], op.eps))
  local coarse = R.linear(fine:reshape { n, 4 * c1 }, w3:permute { 1, 3, 4, 2 }:reshape { c2, 4 * c1 }, p["3.bias"])
  coarse = R.gelu(R.layernorm(coarse, p["4.weight"], p["4.bias"], op.eps))
  return R.add(R.linear(coarse, w6:reshape { w6.shape[1], c2 }, p["6.bias"]), embedding)
end

--- The token MLPs: hyper [masks,width] and iou [1,masks].
function run.token_heads(R, op, queries)
  local function chain(row, stages)
    local x = R.rows(queries, { row })
    for i, stage in ipairs(stages) do
      x = interpret.linear(R, x, stage)
      if i < #stages then x = R.relu(x) end
    end
    return x
  end
  local hyper = {}
  for m, stages in ipairs(op.hyper) do
    for _, value in ipairs(chain(m, stages):totable()) do hyper[#hyper + 1] = value end
  end
  return tensor.from(hyper, { #op.hyper, #hyper // #op.hyper }), chain(0, op.iou)
end

-- Four pixels of each, row by row.
function run.conv_transpose2x2(R, op, x)
  local w = op.params.weight
  local cin, cout, subs = w.shape[1], w.shape[2], {}
  for sub = 0, 3 do
    subs[sub + 1] = R.linear(x, w:slice(3, sub // 2, 1):slice(4, sub % 2, 1):reshape { cin, cout }:transpose(), op.params.bias)
  end
  return R.beside(table.unpack(subs)):reshape { 4 * x.shape[1], cout }
end

--- [pixels,masks]: sixteen pixels of a token one after the other.
function run.mask_product(R, _, upscaled, hyper) return R.product(upscaled, hyper) end

--- Nine products on shifted rows, each a sum of its own; x has the neighbours of one place, row by row, a row of zeros where there is none.
-- @return [1,outputs]
function interpret.conv3x3(R, x, weight)
  local cout, cin, y = weight.shape[1], weight.shape[2], nil
  for tap = 0, 8 do
    local one = R.linear(R.rows(x, { tap }), weight:slice(3, tap // 3, 1):slice(4, tap % 3, 1):reshape { cout, cin })
    y = y and R.add(y, one) or one
  end
  return y
end

-- How large a value is that is not left to the collector's own pace, which does not see what tensors hold.
local LARGE = 1 << 16

--- Run the operations of some layers.
-- @param value name -> matrix, which gets their results; a name without one is an input that is not given
-- @param keep names of values that are wanted; others go once nothing more is made of them
function interpret.layers(R, layers, value, keep)
  local last = {}
  for _, L in ipairs(layers) do
    for _, op in ipairs(L) do
      for _, name in ipairs(op.inputs) do last[name] = op end
    end
  end
  for _, name in ipairs(keep) do last[name] = nil end
  for _, L in ipairs(layers) do
    for _, op in ipairs(L) do
      local inputs = {}
      for i, name in ipairs(op.inputs) do inputs[i] = value[name] or false end
      local results = { assert(run[op.kind], op.kind)(R, op, table.unpack(inputs)) }
      for i, name in ipairs(op.outputs) do value[name] = results[i] end
      for _, name in ipairs(op.inputs) do
        if last[name] == op then value[name] = nil end
      end
      if results[1]:numel() >= LARGE or inputs[2] and inputs[2]:numel() >= LARGE then collectgarbage() end
    end
  end
  return value
end

return interpret

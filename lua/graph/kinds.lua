-- SPDX-License-Identifier: Apache-2.0
--- What the entries of operations (lua/graph/ops/) are written with: kinds of attributes, shapes, matrices.

local schema = require "support.schema"

local kinds = { whole = schema.whole(0, math.maxinteger) }

kinds.callable = schema.kind(function(value)
  if type(value) ~= "function" then return "a function" end
end)

kinds.any_tensor = schema.kind(function(value)
  if type(value) ~= "userdata" and type(value) ~= "table" then return "a tensor" end
end)

--- The product of some dimensions of a shape, all unless said.
function kinds.product(shape, from, to)
  local n = 1
  for i = from or 1, to or #shape do n = n * shape[i] end
  return n
end

--- A shape with another last dimension.
function kinds.with_last(shape, width)
  local new = table.move(shape, 1, #shape, 1, {})
  new[#new] = width
  return new
end

function kinds.rows_of(value) return kinds.product(value.shape, 1, #value.shape - 1) end

--- As shape: that of x. As macs: none.
function kinds.same(_, v) return v.x.shape end
function kinds.none() return 0 end

--- As counted: never.
function kinds.never() return false end

--- Why operations of gradients have none.
kinds.SECOND = "it is of a gradient, and gradients of gradients are not made"

--- An attribute: the precision of a product's operands where it is not f32.
kinds.precision = { schema.one_of("bf16", "int8") }

-- Rows of x, quantised, times those of weights that are: exact sums times the rows' scales. @return them, and the
-- scales of the weights' rows as one
local function product_int8(R, x, w)
  local q, s = R.quantise(x)
  local q_w, s_w = R.quantise_weights(w)
  return R.scale_rows(R.dot_int8(q, q_w), s), s_w:reshape { 1, s_w.shape[1] }
end

--- Each column times a number of a row: one rounding, signs of zeros kept.
function kinds.times_row(R, x, row)
  local width = x.shape[2]
  return R.fma(x, row, kinds.zeros(1, width):scale(-1))
end

-- x w^T + bias in int8-dyn-1 and in bf16-1 (docs/arithmetic.md).
local linear = {}

function linear.int8(R, x, w, bias)
  local y, s_w = product_int8(R, x, w)
  y = kinds.times_row(R, y, s_w)
  if not bias then return y end
  local all = {}
  for i = 1, y.shape[1] do all[i] = 0 end
  return R.add(y, R.rows(R.packed(bias:reshape { 1, bias:numel() }), all))
end

function linear.bf16(R, x, w, bias) return R.linear(R.bf16(x), R.bf16(w), bias) end

--- The function of a linear map's precision: function(x, w, bias), rows of x times w [outputs,inputs].
function kinds.linear_of(R, op)
  local lowered = linear[op.precision]
  return lowered and function(...) return lowered(R, ...) end or R.linear
end

--- A convolution w [outputs,c,side,side] of the rows of x in int8-dyn-1: of each tap the exact sum times the row's
-- scale is added to what the taps before gave, from +0; the scale of an output's weights, those of all taps, is last.
-- @param index function(tap) -> the rows that the tap takes, from 0
function kinds.taps_int8(R, x, w, index)
  local outputs, c, taps = w.shape[1], w.shape[2], w.shape[3] * w.shape[4]
  local q, s = R.quantise(x)
  local q_w, s_w = R.quantise_weights(w:permute { 1, 3, 4, 2 }:reshape { outputs, taps * c })
  local y
  for tap = 0, taps - 1 do
    local rows = index(tap)
    local sums = R.dot_int8(R.rows(q, rows), q_w:slice(2, tap * c, c))
    y = R.add(y or kinds.zeros(sums.shape[1], outputs), R.scale_rows(sums, R.rows(s, rows)))
  end
  return kinds.times_row(R, y, s_w:reshape { 1, outputs })
end

--- The function of an attention's precision.
function kinds.attention_of(R, op) return op.precision and R["attention_" .. op.precision] or R.attention end

--- Rows of zeros; in a graph a row of them, which is where there is no other.
function kinds.zeros(rows, width) return require "msagen.tensor".zeros { rows, width } end
function kinds.zero_row(g, width)
  return g:constant("zero", { 1, width }, function() return kinds.zeros(1, width) end, {})
end

--- A tensor as a matrix of so many columns.
function kinds.matrix(tensor, width) return tensor:reshape { tensor:numel() // width, width } end

--- Rows computed set by set, back in their own order. @param sets moves.windows' @param run function(set) -> the rows
-- of a set, in its order
function kinds.by_sets(R, sets, run)
  local out, back, at = {}, {}, 0
  for i, set in ipairs(sets) do
    out[i] = run(set)
    for _, row in ipairs(set.rows) do
      back[row + 1] = at
      at = at + 1
    end
  end
  return R.rows(R.stacked(out), back)
end

return kinds

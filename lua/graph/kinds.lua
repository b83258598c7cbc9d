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

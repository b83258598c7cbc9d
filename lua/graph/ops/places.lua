-- SPDX-License-Identifier: Apache-2.0
--- Operations that compute nothing: rows in another order, parts, other shapes.

local kinds = require "graph.kinds"
local schema = require "support.schema"

local callable, matrix, none, product, rows_of, whole = kinds.callable, kinds.matrix, kinds.none, kinds.product,
  kinds.rows_of, kinds.whole

local ops = {}

--- Rows in another order: index() is a list of graph/moves.lua, in which the number after the last row is fill's.
-- sequences: { slices, grid, windows, side, length } where they are moves.sequences of these.
ops.gather = { roles = { "x", "fill?" }, attributes = { index = { callable, true },
  to = { schema.table, true },
  sequences = { schema.table } } }
function ops.gather.shape(op) return op.to end
ops.gather.macs = none
function ops.gather.run(R, op, v)
  return R.rows(v.fill and R.stacked { v.x, v.fill } or v.x, op.index())
end

--- Some members of the first dimension.
ops.slice = { roles = { "x" }, attributes = { first = { whole, true }, count = { whole, true } } }
function ops.slice.shape(op, v)
  local shape = table.move(v.x.shape, 1, #v.x.shape, 1, {})
  shape[1] = op.count
  return shape
end
ops.slice.macs = none
function ops.slice.run(_, op, v)
  local each = op.shape_of.x
  local rows = product(each, 2, #each - 1)
  return v.x:slice(1, op.first * rows, op.count * rows)
end

--- Matrices one below the other.
ops.concat = { roles = { "..." }, attributes = {} }
function ops.concat.shape(_, v)
  local rows = 0
  for _, one in ipairs(v) do rows = rows + rows_of(one) end
  return { rows, v[1].shape[#v[1].shape] }
end
ops.concat.macs = none
function ops.concat.run(R, _, v) return R.stacked(v) end

--- The same numbers in another shape.
ops.reshape = { roles = { "x" }, attributes = { to = { schema.table, true } } }
function ops.reshape.shape(op) return op.to end
ops.reshape.macs, ops.reshape.bytes = none, none
function ops.reshape.run(_, op, v) return matrix(v.x, op.to[#op.to]) end

--- Dimensions in another order, from 1.
ops.permute = { roles = { "x" }, attributes = { order = { schema.table, true } } }
function ops.permute.shape(op, v)
  local shape = {}
  for i, from in ipairs(op.order) do shape[i] = v.x.shape[from] end
  return shape
end
ops.permute.macs = none
function ops.permute.run(_, op, v)
  return matrix(v.x:reshape(op.shape_of.x):permute(op.order), op.shape[#op.shape])
end

--- a where there is an input of that name, else b.
ops.select = { roles = { "a", "b" }, attributes = { given = { schema.text, true } } }
function ops.select.shape(_, v) return v.a.shape end
ops.select.macs = none

return ops

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

-- The rows of what an index list names, for each of `count` rows where in the list it is, #index where it is nowhere;
-- nil where a row is there more than once.
local function inverse(index, count)
  local back, seen = {}, 0
  for i = 1, count do back[i] = #index end
  for i, row in ipairs(index) do
    if row < count then
      if back[row + 1] ~= #index then return nil end
      back[row + 1], seen = i - 1, seen + 1
    end
  end
  return back, seen == count
end

-- Gradient of the row that is put where there is none.
local function of_fill(g, dy, index, count)
  local where = {}
  for i, row in ipairs(index) do
    if row == count then where[#where + 1] = i - 1 end
  end
  if #where == 0 then return nil end
  return g:column_sum(g:gather(dy, nil, { index = function() return where end,
    to = { #where, dy.shape[#dy.shape] } }))
end

function ops.gather.gradient(g, op, v, dy, wants)
  local index, count, to_x = op.index(), rows_of(v.x), nil
  local back, whole = inverse(index, count)
  if wants.x and back then
    local zeros = not whole and kinds.zero_row(g, v.x.shape[#v.x.shape]) or nil
    to_x = g:gather(dy, zeros, { index = function() return (inverse(op.index(), count)) end, to = v.x.shape })
  elseif wants.x then
    to_x = g:scatter(dy, { index = op.index, to = v.x.shape })
  end
  return { x = to_x, fill = wants.fill and of_fill(g, dy, index, count) }
end

--- Sums of rows: row i is added to row index()[i] of the result, in their order from +0; to none where that is the
-- number after the last row.
ops.scatter = { roles = { "x" }, attributes = { index = { callable, true }, to = { schema.table, true } } }
function ops.scatter.shape(op) return op.to end
ops.scatter.macs = none
function ops.scatter.run(R, op, v) return R.scatter(v.x, op.index(), product(op.to, 1, #op.to - 1)) end
function ops.scatter.gradient(g, op, v, dy)
  return { x = g:gather(dy, kinds.zero_row(g, dy.shape[#dy.shape]), { index = op.index, to = v.x.shape }) }
end

--- Some members of the first dimension.
ops.slice = { roles = { "x" }, attributes = { first = { whole, true }, count = { whole, true } } }
function ops.slice.shape(op, v)
  local shape = table.move(v.x.shape, 1, #v.x.shape, 1, {})
  shape[1] = op.count
  return shape
end
ops.slice.macs = none

-- Width of the matrix whose rows are parted where the first dimension of a shape is: a list of numbers is a column.
local function width_of(shape) return #shape > 1 and shape[#shape] or 1 end

function ops.slice.run(_, op, v)
  local each = op.shape_of.x
  local rows = product(each, 2, #each - 1)
  return matrix(matrix(v.x, width_of(each)):slice(1, op.first * rows, op.count * rows), op.shape[#op.shape])
end

-- lua/graph/differentiate.lua puts together those of several slices.
function ops.slice.gradient(g, op, v, dy)
  return { x = g:place(dy, { first = op.first, to = v.x.shape, counted = v.x.counted }) }
end

--- Members of the first dimension, from the first on, of a larger value, which is +0 elsewhere.
ops.place = { roles = { "x" }, attributes = { first = { whole, true }, to = { schema.table, true } }, macs = none }
function ops.place.shape(op) return op.to end
function ops.place.run(R, op, v)
  local width, rows = width_of(op.to), product(op.to, 2, #op.to - 1)
  local x = matrix(v.x, width)
  local before = op.first * rows
  local list, after = {}, product(op.to) // width - before - x.shape[1]
  if before > 0 then list[1] = kinds.zeros(before, width) end
  list[#list + 1] = x
  if after > 0 then list[#list + 1] = kinds.zeros(after, width) end
  return matrix(R.stacked(list), op.to[#op.to])
end
function ops.place.gradient(g, op, v, dy)
  return { x = g:slice(dy, { first = op.first, count = v.x.shape[1], counted = v.x.counted }) }
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
function ops.concat.gradient(g, _, v, dy, wants)
  local list, at = {}, 0
  for i, one in ipairs(v) do
    list[i] = wants[i] and g:slice(dy, { first = at, count = rows_of(one), counted = false })
    at = at + rows_of(one)
  end
  return list
end

--- The same numbers in another shape.
ops.reshape = { roles = { "x" }, attributes = { to = { schema.table, true } } }
function ops.reshape.shape(op) return op.to end
ops.reshape.macs, ops.reshape.bytes = none, none
function ops.reshape.run(_, op, v) return matrix(v.x, op.to[#op.to]) end
function ops.reshape.gradient(_, _, _, dy) return { x = dy } end

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
function ops.permute.gradient(g, op, _, dy)
  local back = {}
  for i, from in ipairs(op.order) do back[from] = i end
  return { x = g:permute(dy, { order = back }) }
end

--- a where there is an input of that name, else b.
ops.select = { roles = { "a", "b" }, attributes = { given = { schema.text, true } } }
function ops.select.shape(_, v) return v.a.shape end
ops.select.macs = none
function ops.select.gradient(g, op, _, dy, wants)
  return { a = wants.a and g:taken(dy, { given = op.given, holds = true }),
    b = wants.b and g:taken(dy, { given = op.given, holds = false }) }
end

--- x where it holds, or does not, that there is an input of that name; else +0.
ops.taken = { roles = { "x" }, attributes = { given = { schema.text, true }, holds = { schema.flag, true } },
  shape = kinds.same, macs = none }
function ops.taken.run(R, op, v, context)
  if (context.given[op.given] ~= nil) == op.holds then return v.x end
  return R.packed(kinds.zeros(rows_of(op), op.shape[#op.shape]))
end
function ops.taken.gradient(g, op, _, dy) return { x = g:taken(dy, { given = op.given, holds = op.holds }) } end

return ops

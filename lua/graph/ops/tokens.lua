-- SPDX-License-Identifier: Apache-2.0
--- Token rows of a prompt in training, where what they are made of has gradients.

local kinds = require "graph.kinds"

local ops = {}

-- Rows from 0 of an index as it is given, a matrix of one column: -1 for none.
local function rows_of(index)
  local list = index:totable()
  for i, row in ipairs(list) do list[i] = math.tointeger(row) or error("embed: expected whole numbers") end
  return list
end

--- features, plus the row of table [n,E] that index [rows,1] says of each, from 0: one addition a number. Rows whose
-- index is -1 are the features as they are. -0 is the feature of a row that is the table's alone.
ops.embed = { roles = { "features", "table", "index" }, attributes = {}, macs = kinds.none }
function ops.embed.shape(_, v) return v.features.shape end
function ops.embed.run(R, _, v)
  local list = {}
  for i, row in ipairs(rows_of(v.index)) do
    local features = v.features:slice(1, i - 1, 1)
    list[i] = row < 0 and features or R.add(features, R.rows(v.table, { row }))
  end
  return R.stacked(list)
end

--- What rows of dy add to the rows of a table of `count` rows that index says, in order, each from +0: the gradient by
-- embed's table. Rows whose index is -1 add nothing.
ops.embed_dtable = { roles = { "dy", "index" }, attributes = { count = { kinds.whole, true } }, macs = kinds.none,
  counted = kinds.never, no_gradient = kinds.SECOND }
function ops.embed_dtable.shape(op, v) return { op.count, v.dy.shape[#v.dy.shape] } end
function ops.embed_dtable.run(R, op, v)
  local sums, width = {}, v.dy.shape[2]
  for i = 1, op.count do sums[i] = require "msagen.tensor".zeros { 1, width } end
  for i, row in ipairs(rows_of(v.index)) do
    if row >= 0 then sums[row + 1] = R.add(sums[row + 1], v.dy:slice(1, i - 1, 1)) end
  end
  return R.stacked(sums)
end

function ops.embed.gradient(g, _, v, dy, wants)
  return { table = wants.table and g:embed_dtable(dy, v.index, { count = kinds.rows_of(v.table) }) or nil,
    features = wants.features and dy or nil }
end

return ops

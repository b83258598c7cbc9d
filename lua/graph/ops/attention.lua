-- SPDX-License-Identifier: Apache-2.0
--- Attention of rows among themselves, or to others.

local kernels = require "kernels.kernels"
local kinds = require "graph.kinds"
local moves = require "graph.moves"
local schema = require "support.schema"

local rows_of, whole = kinds.rows_of, kinds.whole

local ops = {}

--- softmax(q k^T / sqrt(d) + r) v of each head, by tiles of keys with a running maximum, as docs/arithmetic.md defines.
--   heads   d is the width over them
--   grid    {height, width}: each of the first dimension's members is a grid of places, row by row.
--           nil: all rows are one set of keys, as many as there are at run time
--   window  side of the windows that a grid is parted into, each a set; nil: a grid is one set
--   causal  lengths of sequences, which lie one behind the other: a row sees itself and those before it in its
--           sequence. The interpreter alone has it
-- rel_h, rel_w are tables of decomposed relative positions, for sets that are grids. k_pad, v_pad [1,C] are key and
-- value of a window's places beyond the grid, which share one tile.
ops.attention = { roles = { "q", "k", "v", "rel_h?", "rel_w?", "k_pad?", "v_pad?" },
  attributes = { heads = { whole, true }, grid = { schema.table }, window = { whole }, causal = { schema.table } } }
function ops.attention.shape(_, v) return v.q.shape end

-- Places of a set: what it costs, and how the interpreter goes through it.
local function sets_of(op, shape)
  if not op.grid then return nil end
  return moves.windows(shape[1], op.grid[1], op.grid[2], op.window)
end

function ops.attention.macs(op, v)
  local C = v.q.shape[#v.q.shape]
  if op.causal then
    local pairs_seen = 0
    for _, length in ipairs(op.causal) do pairs_seen = pairs_seen + length * (length + 1) // 2 end
    return 2 * C * pairs_seen
  end
  if not op.grid then return 2 * C * rows_of(v.q) * rows_of(v.k) end
  local side_h, side_w = op.window or op.grid[1], op.window or op.grid[2]
  local sum = 0
  for _, kind in ipairs(moves.window_kinds(op.grid[1], op.grid[2], op.window)) do
    local places = kind.height * kind.width
    local keys = places + (v.k_pad and places < side_h * side_w and 1 or 0)
    sum = sum + v.q.shape[1] * kind.count * places * C * (2 * keys + (v.rel_h and side_h + side_w or 0))
  end
  return sum
end

-- A query at a time, with the keys up to its own.
local function causal(R, op, v)
  local out, first = {}, 0
  for _, length in ipairs(op.causal) do
    for i = 1, length do
      out[first + i] = R.attention(v.q:slice(1, first + i - 1, 1), v.k:slice(1, first, i), v.v:slice(1, first, i),
        { heads = op.heads, tile = kernels.key_tile(i), count = i })
    end
    first = first + length
  end
  assert(first == v.q.shape[1], "causal attention: as many rows as the sequences have expected")
  return R.stacked(out)
end

function ops.attention.run(R, op, v)
  if op.causal then return causal(R, op, v) end
  local sets = sets_of(op, op.shape)
  if not sets then
    local count = v.k.shape[1]
    return R.attention(v.q, v.k, v.v, { heads = op.heads, tile = kernels.key_tile(count), count = count })
  end
  return kinds.by_sets(R, sets, function(set)
    local count = #set.rows
    local padded = count < set.side_h * set.side_w
    return R.attention(R.rows(v.q, set.rows), R.rows(v.k, set.rows), R.rows(v.v, set.rows), { heads = op.heads,
      tile = kernels.key_tile(count, set.width), count = count, height = set.side_h, width = set.side_w,
      row = set.width, place = set.places, rel_h = v.rel_h, rel_w = v.rel_w, k_pad = padded and v.k_pad or nil,
      v_pad = padded and v.v_pad or nil })
  end)
end

--- Attention among the `window`^2 consecutive rows of each window: the logit of two places starts from table
-- [heads,window^2], which knows how far they are apart, down and across.
ops.table_attention = { roles = { "q", "k", "v", "table" }, attributes = { heads = { whole, true },
  window = { whole, true } }, shape = function(_, v) return v.q.shape end }
function ops.table_attention.macs(op, v) return 2 * kinds.product(v.q.shape) * op.window * op.window end

function ops.table_attention.run(R, op, v)
  local count, out = op.window * op.window, {}
  local start = R.rows(v.table:transpose(), moves.distances(op.window)):transpose():reshape { op.heads * count, count }
  for i = 0, kinds.product(op.shape) // (op.shape[#op.shape] * count) - 1 do
    local function of(x) return x:slice(1, i * count, count) end
    out[i + 1] = R.attention(of(v.q), of(v.k), of(v.v), { heads = op.heads,
      tile = kernels.key_tile(count, op.window), count = count, start = start })
  end
  return R.stacked(out)
end

return ops

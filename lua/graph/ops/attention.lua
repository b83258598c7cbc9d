-- SPDX-License-Identifier: Apache-2.0
--- Attention of rows among themselves, or to others.

local fail = require "support.fail"
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
  attributes = { heads = { whole, true }, grid = { schema.table }, window = { whole }, causal = { schema.table },
    precision = kinds.precision } }
function ops.attention.shape(_, v) return v.q.shape end

-- Sides of a set that is a grid.
local function sides_of(op) return op.window or op.grid[1], op.window or op.grid[2] end

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
  local side_h, side_w = sides_of(op)
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

-- Keys of a set without a grid that weigh anything: of those that are counted, as many as there are.
local function keys_of(v, context) return context and context.counted.k and context.count or v.k.shape[1] end

function ops.attention.run(R, op, v, context)
  if op.causal then return causal(R, op, v) end
  local sets = sets_of(op, op.shape)
  if not sets then
    local count = keys_of(v, context)
    return R.attention(v.q, v.k, v.v, { heads = op.heads, tile = kernels.key_tile(count), count = count })
  end
  return kinds.by_sets(R, sets, function(set)
    local count = #set.rows
    local padded = count < set.side_h * set.side_w
    local q, k, values = R.rows(v.q, set.rows), R.rows(v.k, set.rows), R.rows(v.v, set.rows)
    return kinds.attention_of(R, op)(q, k, values, { heads = op.heads,
      tile = kernels.key_tile(count, set.width), count = count, height = set.side_h, width = set.side_w,
      row = set.width, place = set.places, rel_h = v.rel_h, rel_w = v.rel_w, k_pad = padded and v.k_pad or nil,
      v_pad = padded and v.v_pad or nil })
  end)
end

-- The sum over heads, in their order, of rows in which each head has its columns.
local function over_heads(g, x, heads)
  local rows, d = x.shape[1], x.shape[2] // heads
  if heads == 1 then return x end
  local by_head = g:reshape(g:permute(g:reshape(x, { to = { rows, heads, d } }), { order = { 2, 1, 3 } }),
    { to = { heads * rows, d } })
  local sum
  for h = 0, heads - 1 do
    local one = g:slice(by_head, { first = h * rows, count = rows })
    sum = sum and g:add(sum, one) or one
  end
  return sum
end

function ops.attention.gradient(g, op, v, dy, wants)
  if op.causal then
    fail("%s: attention: expected no sequences whose rows see those before them, for which there is no gradient, found "
      .. "such", op.label or "graph")
  end
  local pads, rel = wants.k_pad or wants.v_pad or false, wants.rel_h or wants.rel_w or false
  local all = g:value("attention_dqkv", { q = v.q, k = v.k, v = v.v, ["do"] = dy, rel_h = v.rel_h,
    rel_w = v.rel_w, k_pad = v.k_pad, v_pad = v.v_pad }, { heads = op.heads, grid = op.grid, window = op.window,
    pads = pads, rel = rel })
  local found, at = {}, 0
  local function take(role, rows, of_heads)
    local part = wants[role] and g:slice(all, { first = at, count = rows, counted = v[role].counted })
    found[role], at = part and of_heads and over_heads(g, part, op.heads) or part, at + rows
  end
  for _, role in ipairs { "q", "k", "v" } do take(role, rows_of(v[role])) end
  for _, role in ipairs(pads and { "k_pad", "v_pad" } or {}) do take(role, 1) end
  for _, role in ipairs(rel and { "rel_h", "rel_w" } or {}) do take(role, v[role].shape[1], true) end
  return found
end

--- Gradients of attention, one below the other, as wide as q: of q, k and v; with `pads` of k_pad and v_pad; with `rel`
-- of rel_h and rel_w, each head in its own columns. do is the gradient of what attention gave. docs/arithmetic.md has
-- the sums.
ops.attention_dqkv = { roles = { "q", "k", "v", "do", "rel_h?", "rel_w?", "k_pad?", "v_pad?" },
  attributes = { heads = { whole, true }, grid = { schema.table }, window = { whole }, pads = { schema.flag, true },
    rel = { schema.flag, true } }, counted = kinds.never, no_gradient = kinds.SECOND }
function ops.attention_dqkv.shape(op, v)
  local rows = rows_of(v.q) + 2 * rows_of(v.k) + (op.pads and 2 or 0)
    + (op.rel and v.rel_h.shape[1] + v.rel_w.shape[1] or 0)
  return { rows, v.q.shape[#v.q.shape] }
end

-- For each pair of query and key five products instead of two.
function ops.attention_dqkv.macs(op, v) return ops.attention.macs(op, v) * 5 // 2 end

-- Rows of keys and values of a set: with padding all places of its window.
local function with_padding(R, set, padded, x, pad)
  if not padded then return R.rows(x, set.rows) end
  local list = {}
  for place = 1, set.side_h * set.side_w do list[place] = x.shape[1] end
  for i, place in ipairs(set.places) do list[place + 1] = set.rows[i] end
  return R.rows(R.stacked { x, pad }, list)
end

-- The sum of the rows of those places of a set that are padding.
local function of_padding(R, set, x)
  local index = {}
  for place = 1, set.side_h * set.side_w do index[place] = 0 end
  for _, place in ipairs(set.places) do index[place + 1] = 1 end
  return R.scatter(x, index, 1)
end

-- The gradients of a set by name; sums over sets go on in `sums`.
local function of_set(R, op, v, set, sums)
  local padded = v.k_pad and #set.rows < set.side_h * set.side_w
  local function own(x) return R.rows(x, set.rows) end
  local k, one = with_padding(R, set, padded, v.k, v.k_pad), {}
  one.q, one.k, one.v, sums.rel_h, sums.rel_w = R.attention_dqkv(own(v.q), k,
    with_padding(R, set, padded, v.v, v.v_pad), { d_o = own(v["do"]), heads = op.heads,
    count = k.shape[1], height = set.side_h, width = set.side_w, row = padded and set.side_w or set.width,
    place = set.places, rel_h = v.rel_h, rel_w = v.rel_w, tables = op.rel, drel_h = sums.rel_h, drel_w = sums.rel_w })
  for _, role in ipairs(padded and { "k", "v" } or {}) do
    if op.pads then sums[role .. "_pad"] = R.add(sums[role .. "_pad"], of_padding(R, set, one[role])) end
    one[role] = R.rows(one[role], set.places)
  end
  return one
end

function ops.attention_dqkv.run(R, op, v, context)
  local sets = sets_of(op, op.shape_of.q)
  if not sets then
    return R.stacked { R.attention_dqkv(v.q, v.k, v.v, { d_o = v["do"], heads = op.heads,
      count = keys_of(v, context) }) }
  end
  local zeros = R.packed(kinds.zeros(1, op.shape[2]))
  local sums, found = { k_pad = zeros, v_pad = zeros }, {}
  for i, set in ipairs(sets) do found[i] = of_set(R, op, v, set, sums) end
  local list, number = {}, 0
  for _, role in ipairs { "q", "k", "v" } do
    number = 0
    list[#list + 1] = kinds.by_sets(R, sets, function()
      number = number + 1
      return found[number][role]
    end)
  end
  for _, role in ipairs { op.pads and "k_pad", op.pads and "v_pad", op.rel and "rel_h", op.rel and "rel_w" } do
    if role then list[#list + 1] = sums[role] end
  end
  return R.stacked(list)
end

--- Attention among the `window`^2 consecutive rows of each window: the logit of two places starts from table
-- [heads,window^2], which knows how far they are apart, down and across.
ops.table_attention = { roles = { "q", "k", "v", "table" }, attributes = { heads = { whole, true },
  window = { whole, true }, precision = kinds.precision }, shape = function(_, v) return v.q.shape end }
function ops.table_attention.macs(op, v) return 2 * kinds.product(v.q.shape) * op.window * op.window end


-- What run gives for each window. @param run function(of, start, count): of(x) are the window's rows of one, start what
-- its logits begin with
local function by_windows(R, op, v, run)
  local count, out = op.window * op.window, {}
  local start = R.rows(v.table:transpose(), moves.distances(op.window)):transpose():reshape { op.heads * count, count }
  for i = 0, v.q.shape[1] // count - 1 do
    out[i + 1] = run(function(x) return x:slice(1, i * count, count) end, start, count)
  end
  return out
end

function ops.table_attention.run(R, op, v)
  return R.stacked(by_windows(R, op, v, function(of, start, count)
    return kinds.attention_of(R, op)(of(v.q), of(v.k), of(v.v), { heads = op.heads,
      tile = kernels.key_tile(count, op.window), count = count, start = start })
  end))
end

local TABLE_ROLES = { "q", "k", "v", "do", "table" }

function ops.table_attention.gradient(g, op, v, dy, wants)
  local inputs, attributes = { q = v.q, k = v.k, v = v.v, ["do"] = dy, table = v.table },
    { heads = op.heads, window = op.window }
  local rows, found = rows_of(v.q), {}
  local all = (wants.q or wants.k or wants.v) and g:value("table_attention_dqkv", inputs, attributes)
  for i, role in ipairs { "q", "k", "v" } do
    found[role] = wants[role] and g:slice(all, { first = (i - 1) * rows, count = rows })
  end
  found.table = wants.table and g:value("table_attention_dtable", inputs, attributes)
  return found
end

--- Gradients of table_attention's q, k and v, one below the other; each window is a set of attention_dqkv.
ops.table_attention_dqkv = { roles = table.move(TABLE_ROLES, 1, #TABLE_ROLES, 1, {}),
  attributes = { heads = { whole, true }, window = { whole, true } }, no_gradient = kinds.SECOND }
function ops.table_attention_dqkv.shape(_, v) return { 3 * rows_of(v.q), v.q.shape[#v.q.shape] } end
function ops.table_attention_dqkv.macs(op, v) return 5 * kinds.product(v.q.shape) * op.window * op.window end

local function table_gradients(R, op, v, take)
  local sum
  return by_windows(R, op, v, function(of, start, count)
    local dq, dk, dv, dstart = R.attention_dqkv(of(v.q), of(v.k), of(v.v), { d_o = of(v["do"]),
      heads = op.heads, count = count, start = start, dstart = sum })
    sum = dstart
    return take(dq, dk, dv, dstart)
  end)
end

function ops.table_attention_dqkv.run(R, op, v)
  local q, k, w = {}, {}, {}
  table_gradients(R, op, v, function(...) q[#q + 1], k[#k + 1], w[#w + 1] = ... end)
  return R.stacked { R.stacked(q), R.stacked(k), R.stacked(w) }
end

--- Gradient of its table [heads,window^2]: for each pair of places the sum of ds over windows in order from +0; of the
-- pairs that are equally far apart the sum in their order, queries outside, from +0.
ops.table_attention_dtable = { roles = table.move(TABLE_ROLES, 1, #TABLE_ROLES, 1, {}),
  attributes = { heads = { whole, true }, window = { whole, true } }, no_gradient = kinds.SECOND }
function ops.table_attention_dtable.shape(_, v) return v.table.shape end
function ops.table_attention_dtable.macs(op, v) return 2 * kinds.product(v.q.shape) * op.window * op.window end
function ops.table_attention_dtable.run(R, op, v)
  local count, last = op.window * op.window, nil
  table_gradients(R, op, v, function(_, _, _, dstart) last = dstart end)
  return R.packed(R.scatter(last:reshape { op.heads, count * count }:transpose(), moves.distances(op.window), count)
    :transpose())
end

return ops

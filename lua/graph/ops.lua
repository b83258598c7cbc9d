-- SPDX-License-Identifier: Apache-2.0
--- The primitive operations of a graph, an entry each. A closed set: an unknown kind, input or attribute is refused.
--   roles       names of its inputs in order; "?" behind those that may be left out, "..." for any number of one role
--   attributes  { name = { kind of value, required } }: lua/support/schema.lua
--   shape       function(op, v) -> the result's shape, v being the inputs by role
--   macs        function(op, v) -> multiply-adds; of what is counted, for as many as there may be
--   run         function(R, op, v) -> the result as a matrix [rows,width], v being the inputs' matrices by role, R the
--               defined arithmetic of a class (gen/reference.c); absent for what comes from outside
-- Bits are defined by these, one after the other: x + (p + a) is two additions in that order.
-- A gradient is a further field of an entry.

local activations = require "graph.activations"
local closed = require "support.closed"
local kernels = require "kernels.kernels"
local schema = require "support.schema"
local moves = require "graph.moves"

local callable = schema.kind(function(value)
  if type(value) ~= "function" then return "a function" end
end)
local any_tensor = schema.kind(function(value)
  if type(value) ~= "userdata" and type(value) ~= "table" then return "a tensor" end
end)
local whole, flag, number = schema.whole(0, math.maxinteger), schema.flag, schema.number

local function product(shape, from, to)
  local n = 1
  for i = from or 1, to or #shape do n = n * shape[i] end
  return n
end

local function with_last(shape, width)
  local new = table.move(shape, 1, #shape, 1, {})
  new[#new] = width
  return new
end

local function rows_of(value) return product(value.shape, 1, #value.shape - 1) end
local function same(_, v) return v.x.shape end
local function none() return 0 end

-- As a matrix of so many columns.
local function matrix(tensor, width) return tensor:reshape { tensor:numel() // width, width } end

local ops = {}

ops.input = { roles = {}, attributes = {}, macs = none }
ops.parameter = { roles = {}, attributes = { tensor = { any_tensor, true } }, macs = none }
ops.constant = { roles = {}, attributes = { make = { callable, true }, sources = { schema.table,
  true } }, macs = none }

--- x + y, or x + s y in one multiply-add. y may be one of several slices, or one row for all.
ops.add = { roles = { "x", "y" }, attributes = { scale = { number } }, shape = same, macs = none }
function ops.add.run(R, op, v)
  local rows, have = v.x.shape[1], v.y.shape[1]
  local y = v.y
  if have < rows then
    local list = {}
    for i = 1, rows do list[i] = (i - 1) % have end
    y = R.rows(y, list)
  end
  return R.add(v.x, y, op.scale)
end

--- f(x) of lua/graph/activations.lua.
ops.act = { roles = { "x" }, attributes = { f = { schema.one_of(table.unpack(activations.computed)), true } },
  shape = same, macs = none }
function ops.act.run(R, op, v) return activations.run(R, op.f, v.x) end

--- The last dimension to mean 0 and deviation 1, times gamma, plus beta.
ops.layernorm = { roles = { "x", "gamma", "beta" }, attributes = { eps = { number, true } }, shape = same, macs = none }
function ops.layernorm.run(R, op, v) return R.layernorm(v.x, v.gamma, v.beta, op.eps) end

--- x w^T, w [outputs,inputs]: a chain of multiply-adds from start or +0, the bias last. w may be a value: attribute
-- `value`.
ops.linear = { roles = { "x", "w", "bias?", "start?" }, attributes = { value = { flag } } }
function ops.linear.shape(_, v)
  assert(v.w.shape[2] == v.x.shape[#v.x.shape], "linear: as many inputs as x is wide expected")
  return with_last(v.x.shape, v.w.shape[1])
end
function ops.linear.macs(_, v) return rows_of(v.x) * product(v.w.shape) end
function ops.linear.run(R, op, v)
  if op.value then return R.product(v.x, v.w) end
  return R.linear(v.x, v.w, v.bias, v.start)
end

--- A convolution of an image [n,h,w,c]: w [outputs,c,side,side].
--   stride  side for patches that do not overlap, else 1, with zeros around
--   sums    "channel": a sum for each channel, added in their order, the bias in the first;
--           "tap": a sum for each of the side^2 places; "whole": one sum, places outside, channels inside
ops.conv = { roles = { "x", "w", "bias?" },
  attributes = { stride = { whole, true }, sums = { schema.one_of("channel", "tap", "whole"), true } } }
function ops.conv.shape(op, v)
  local s = v.x.shape
  return { s[1], s[2] // op.stride, s[3] // op.stride, v.w.shape[1] }
end
function ops.conv.macs(op, v)
  return product(v.x.shape, 1, 3) // (op.stride * op.stride) * product(v.w.shape)
end

local conv = {}

-- Patches [rows, side, side, c] of an image, side apart.
local function patches(op, v)
  local s = op.shape_of.x
  local P = op.stride
  return v.x:reshape { s[1] * (s[2] // P), P, s[3] // P, P, s[4] }:permute { 1, 3, 2, 4, 5 },
    s[1] * (s[2] // P) * (s[3] // P), s[4]
end

function conv.channel(R, op, v)
  local p, rows, channels = patches(op, v)
  local P, y = op.stride, nil
  for c = 0, channels - 1 do
    local w = v.w:slice(2, c, 1):reshape { v.w.shape[1], P * P }
    local one = R.linear(matrix(p:slice(5, c, 1), P * P), w, c == 0 and v.bias or nil)
    y = y and R.add(y, one) or one
  end
  assert(y.shape[1] == rows)
  return y
end

function conv.whole(R, op, v)
  local p, _, channels = patches(op, v)
  local n = op.stride * op.stride * channels
  return R.linear(matrix(p, n), v.w:permute { 1, 3, 4, 2 }:reshape { v.w.shape[1], n }, v.bias)
end

function conv.tap(R, op, v)
  local s, side, y = op.shape_of.x, v.w.shape[3], nil
  local around = R.stacked { v.x, require "msagen.tensor".zeros { 1, s[4] } }
  for tap = 0, side * side - 1 do
    local w = v.w:slice(3, tap // side, 1):slice(4, tap % side, 1):reshape { v.w.shape[1], s[4] }
    local shifted = R.rows(around, moves.shifted(s, tap // side - side // 2, tap % side - side // 2))
    local one = R.linear(shifted, w)
    y = y and R.add(y, one) or one
  end
  return y
end

function ops.conv.run(R, op, v) return conv[op.sums](R, op, v) end

--- A transposed convolution of 2 x 2, 2 apart: w [c,outputs,2,2]. Each of the four places is a product of its own.
ops.conv_transpose = { roles = { "x", "w", "bias?" }, attributes = {} }
function ops.conv_transpose.shape(_, v)
  local s = v.x.shape
  return { s[1], 2 * s[2], 2 * s[3], v.w.shape[2] }
end
function ops.conv_transpose.macs(_, v) return product(v.x.shape, 1, 3) * product(v.w.shape) end
function ops.conv_transpose.run(R, op, v)
  local s, cin, cout, subs = op.shape_of.x, v.w.shape[1], v.w.shape[2], {}
  for sub = 0, 3 do
    local w = v.w:slice(3, sub // 2, 1):slice(4, sub % 2, 1):reshape { cin, cout }:transpose()
    subs[sub + 1] = R.linear(v.x, w, v.bias)
  end
  local all = R.beside(table.unpack(subs)):reshape { s[1] * s[2], s[3], 2, 2, cout }
  return matrix(all:permute { 1, 3, 2, 4, 5 }, cout)
end

--- softmax(q k^T / sqrt(d) + r) v of each head, by tiles of keys with a running maximum, as docs/arithmetic.md defines.
--   heads   d is the width over them
--   grid    {height, width}: each of the first dimension's members is a grid of places, row by row.
--           nil: all rows are one set of keys, as many as there are at run time
--   window  side of the windows that a grid is parted into, each a set; nil: a grid is one set
-- rel_h, rel_w are tables of decomposed relative positions, for sets that are grids. k_pad, v_pad [1,C] are key and
-- value of a window's places beyond the grid, which share one tile.
ops.attention = { roles = { "q", "k", "v", "rel_h?", "rel_w?", "k_pad?", "v_pad?" },
  attributes = { heads = { whole, true }, grid = { schema.table }, window = { whole } } }
function ops.attention.shape(_, v) return v.q.shape end

-- Places of a set: what it costs, and how the interpreter goes through it.
local function sets_of(op, shape)
  if not op.grid then return nil end
  return moves.windows(shape[1], op.grid[1], op.grid[2], op.window)
end

function ops.attention.macs(op, v)
  local C = v.q.shape[#v.q.shape]
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

function ops.attention.run(R, op, v)
  local sets = sets_of(op, op.shape)
  if not sets then
    local count = v.k.shape[1]
    return R.attention(v.q, v.k, v.v, { heads = op.heads, tile = kernels.key_tile(count), count = count })
  end
  local out, back, at = {}, {}, 0
  for i, set in ipairs(sets) do
    local count = #set.rows
    local padded = count < set.side_h * set.side_w
    out[i] = R.attention(R.rows(v.q, set.rows), R.rows(v.k, set.rows), R.rows(v.v, set.rows), { heads = op.heads,
      tile = kernels.key_tile(count, set.width), count = count, height = set.side_h, width = set.side_w,
        row = set.width, place = set.places,
      rel_h = v.rel_h, rel_w = v.rel_w, k_pad = padded and v.k_pad or nil, v_pad = padded and v.v_pad or nil })
    for _, row in ipairs(set.rows) do
      back[row + 1] = at
      at = at + 1
    end
  end
  return R.rows(R.stacked(out), back)
end

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
ops.reshape.macs = none
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

local names = closed.sorted(ops)
for kind, entry in pairs(ops) do
  entry.kind, entry.optional, entry.least = kind, {}, 0
  for i, role in ipairs(entry.roles) do
    local plain = role:gsub("%?$", "")
    entry.optional[plain] = plain ~= role
    if plain == role then entry.least = i end
    entry.roles[i] = plain
  end
end

return {
  table = ops,
  names = names,
  --- The entry of a kind; a refusal that begins with `where` for what is none.
  of = function(kind, where) return ops[kind] or closed.member(kind, names, where) end,
}

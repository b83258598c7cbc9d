-- SPDX-License-Identifier: Apache-2.0
--- Operations on each row by itself, and the norm of a map.

local activations = require "graph.activations"
local expressions = require "graph.expressions"
local fail = require "support.fail"
local kinds = require "graph.kinds"
local schema = require "support.schema"

local flag, none, number, product, rows_of, same, with_last = schema.flag, kinds.none, schema.number, kinds.product,
  kinds.rows_of, kinds.same, kinds.with_last

local ops = {}

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

-- The gradient of what was added to rows of dy, being the rows of one slice of several, or one row: the sum over slices
-- in their order, or over rows.
local function summed(g, dy, shape)
  local rows, have = rows_of(dy), kinds.product(shape, 1, #shape - 1)
  if rows == have then return dy end
  if have == 1 then return g:column_sum(dy) end
  local whole, sum = g:reshape(dy, { to = { rows, shape[#shape] } }), nil
  for i = 0, rows // have - 1 do
    local one = g:slice(whole, { first = i * have, count = have })
    sum = sum and g:add(sum, one) or one
  end
  return sum
end

function ops.add.gradient(g, op, v, dy, wants)
  local to_y = wants.y and summed(g, dy, v.y.shape)
  return { x = dy, y = to_y and op.scale and g:scale(to_y, { s = op.scale }) or to_y }
end

--- f(x) of lua/graph/activations.lua.
ops.act = { roles = { "x" }, attributes = { f = { schema.one_of(table.unpack(activations.known)), true } },
  shape = same, macs = none }
function ops.act.run(R, op, v) return activations.run(R, op.f, v.x) end

function ops.act.gradient(g, op, v, dy) return { x = g:act_dx(dy, v.x, { f = op.f }) } end

--- dy times the derivative of f at x.
ops.act_dx = { roles = { "dy", "x" }, attributes = { f = { schema.one_of(table.unpack(activations.known)), true } },
  shape = function(op, v)
    if not activations.entries[op.f].gradient then
      fail("%s: act_dx: expected an activation with a gradient, found %s, which has none in "
        .. "lua/graph/activations.lua", op.label or "graph", op.f)
    end
    return v.dy.shape
  end, macs = none, no_gradient = kinds.SECOND }
function ops.act_dx.run(R, op, v) return R.times(v.dy, activations.run_gradient(R, op.f, v.x)) end

--- x y, element by element.
ops.times = { roles = { "x", "y" }, attributes = {}, shape = same, macs = none }
function ops.times.run(R, _, v) return R.times(v.x, v.y) end
function ops.times.gradient(g, _, v, dy, wants)
  return { x = wants.x and g:times(dy, v.y), y = wants.y and g:times(dy, v.x) }
end

--- s x.
ops.scale = { roles = { "x" }, attributes = { s = { number, true } }, shape = same, macs = none }
function ops.scale.run(R, op, v)
  return R.evaluate(expressions.of(function(x) return x * op.s end), v.x)
end
function ops.scale.gradient(g, op, _, dy) return { x = g:scale(dy, { s = op.s }) } end

--- The sum of all rows: of each 64 rows a chain of additions from +0, these sums added in order.
ops.column_sum = { roles = { "x" }, attributes = {}, macs = none, counted = kinds.never }
function ops.column_sum.shape(_, v) return { 1, v.x.shape[#v.x.shape] } end
function ops.column_sum.run(R, _, v) return R.column_sum(v.x) end
function ops.column_sum.gradient(g, _, v, dy)
  local function index()
    local list = {}
    for i = 1, rows_of(v.x) do list[i] = 0 end
    return list
  end
  return { x = g:gather(dy, nil, { index = index, to = v.x.shape }) }
end

--- Each row of x times the one row of its image: a multiply-add to +0.
ops.multiply = { roles = { "x", "y" }, attributes = {}, shape = function(_, v) return v.x.shape end, macs = none }
function ops.multiply.run(R, op, v)
  local s, list = op.shape_of.x, {}
  local zero, rows = require "msagen.tensor".zeros { 1, s[#s] }, s[2] * s[3]
  for i = 0, s[1] - 1 do
    list[i + 1] = R.fma(v.x:slice(1, i * rows, rows), v.y:slice(1, i, 1), zero)
  end
  return R.stacked(list)
end

function ops.multiply.gradient(g, _, v, dy, wants)
  local s, list = v.x.shape, {}
  local rows = s[2] * s[3]
  local all = wants.y and g:reshape(g:times(dy, v.x), { to = { s[1] * rows, s[4] } })
  for i = 1, all and s[1] or 0 do
    list[i] = g:column_sum(s[1] == 1 and all or g:slice(all, { first = (i - 1) * rows, count = rows }))
  end
  return { x = wants.x and g:multiply(dy, v.y), y = #list > 1 and g:concat(list) or list[1] }
end

--- The last dimension to mean 0 and deviation 1, times gamma, plus beta.
ops.layernorm = { roles = { "x", "gamma", "beta" }, attributes = { eps = { number, true } }, shape = same, macs = none }
function ops.layernorm.run(R, op, v) return R.layernorm(v.x, v.gamma, v.beta, op.eps) end

-- Of a layer's norm and of a map's.
local function norm_gradient(kind)
  return function(g, op, v, dy, wants)
    return { x = wants.x and g[kind .. "_dx"](g, dy, v.x, v.gamma, { eps = op.eps }),
      gamma = wants.gamma and g[kind .. "_dgamma"](g, dy, v.x, { eps = op.eps }),
      beta = wants.beta and g:column_sum(dy) }
  end
end
ops.layernorm.gradient = norm_gradient "layernorm"

local function same_as_dy(_, v) return v.dy.shape end
local function one_row(_, v) return { 1, v.x.shape[#v.x.shape] } end

--- With h = (x - mean) rstd, t = dy gamma: fma(-h, mean of t h, t - mean of t) rstd.
ops.layernorm_dx = { roles = { "dy", "x", "gamma" }, attributes = { eps = { number, true } }, shape = same_as_dy,
  macs = none, no_gradient = kinds.SECOND }
function ops.layernorm_dx.run(R, op, v) return R.norm_dx(v.dy, v.x, v.gamma, op.eps) end

--- The sum over rows of dy h, in blocks as column_sum.
ops.layernorm_dgamma = { roles = { "dy", "x" }, attributes = { eps = { number, true } }, shape = one_row, macs = none,
  counted = kinds.never, no_gradient = kinds.SECOND }
function ops.layernorm_dgamma.run(R, op, v) return R.norm_dgamma(v.dy, v.x, op.eps) end

--- All of a map [n,h,w,c], its places and channels together, to mean 0 and deviation 1, times gamma, plus beta [c]. A
-- line of w places has sums of its own, which are added in order.
ops.mapnorm = { roles = { "x", "gamma", "beta" }, attributes = { eps = { number, true } }, shape = same,
  macs = none }

-- What run gives for each map of x, in their order. @param run function(of, line): of(value) are the map's rows of one
local function by_maps(op, run)
  local s, list = op.shape_of.x, {}
  local rows = s[2] * s[3]
  for i = 1, s[1] do
    list[i] = run(function(value) return value:slice(1, (i - 1) * rows, rows) end, s[3])
  end
  return list
end

function ops.mapnorm.run(R, op, v)
  local list = by_maps(op, function(of, line) return R.mapnorm(of(v.x), v.gamma, v.beta, op.eps, line) end)
  return #list == 1 and list[1] or R.stacked(list)
end
ops.mapnorm.gradient = norm_gradient "mapnorm"

--- As layernorm_dx, of a map together: both sums by lines, as the norm's.
ops.mapnorm_dx = { roles = { "dy", "x", "gamma" }, attributes = { eps = { number, true } }, shape = same_as_dy,
  macs = none, no_gradient = kinds.SECOND }
function ops.mapnorm_dx.run(R, op, v)
  return R.stacked(by_maps(op, function(of, line) return R.norm_dx(of(v.dy), of(v.x), v.gamma, op.eps, line) end))
end

--- As layernorm_dgamma, of a map; those of several added in their order.
ops.mapnorm_dgamma = { roles = { "dy", "x" }, attributes = { eps = { number, true } }, shape = one_row, macs = none,
  counted = kinds.never, no_gradient = kinds.SECOND }
function ops.mapnorm_dgamma.run(R, op, v)
  local sum
  for _, one in ipairs(by_maps(op, function(of, line) return R.norm_dgamma(of(v.dy), of(v.x), op.eps, line) end)) do
    sum = sum and R.add(sum, one) or one
  end
  return sum
end

--- x w^T, w [outputs,inputs]: a chain of multiply-adds from start or +0, the bias last. w may be a value: attribute
-- `value`.
-- `precision`, of x and w: in int8 rows of x and outputs of w are quantised, and the exact sum of their products times
-- both scales, one after the other, is what the bias is added to; in bf16 both are rounded, and of each two inputs the
-- second one comes first in the chain.
ops.linear = { roles = { "x", "w", "bias?", "start?" }, attributes = { value = { flag },
  precision = kinds.precision } }
function ops.linear.shape(_, v)
  assert(v.w.shape[2] == v.x.shape[#v.x.shape], "linear: as many inputs as x is wide expected")
  return with_last(v.x.shape, v.w.shape[1])
end
function ops.linear.macs(_, v) return rows_of(v.x) * product(v.w.shape) end
function ops.linear.run(R, op, v)
  if op.value then return R.product(v.x, v.w) end
  return kinds.linear_of(R, op)(v.x, v.w, v.bias, v.start)
end
function ops.linear.gradient(g, op, v, dy, wants)
  return { x = wants.x and g:linear_dx(dy, v.w, { value = op.value }), w = wants.w and g:linear_dw(dy, v.x),
    bias = wants.bias and g:column_sum(dy), start = dy }
end

--- dy w, w [outputs,inputs] as in linear: for each number a chain of multiply-adds over the outputs from +0.
ops.linear_dx = { roles = { "dy", "w" }, attributes = { value = { flag } }, no_gradient = kinds.SECOND }
function ops.linear_dx.shape(_, v) return with_last(v.dy.shape, v.w.shape[2]) end
function ops.linear_dx.macs(_, v) return rows_of(v.dy) * product(v.w.shape) end
function ops.linear_dx.run(R, op, v)
  return (op.value and R.product or R.linear)(v.dy, v.w:transpose())
end

--- dy^T x [outputs,inputs]: for each number sums over rows, of each 64 rows a chain of multiply-adds from +0, these
-- sums added in order.
ops.linear_dw = { roles = { "dy", "x" }, attributes = {}, counted = kinds.never, no_gradient = kinds.SECOND }
function ops.linear_dw.shape(_, v)
  assert(rows_of(v.dy) == rows_of(v.x), "linear_dw: as many rows in dy as in x expected")
  return { v.dy.shape[#v.dy.shape], v.x.shape[#v.x.shape] }
end
function ops.linear_dw.macs(op, v) return rows_of(v.dy) * product(op.shape or ops.linear_dw.shape(op, v)) end
function ops.linear_dw.run(R, _, v) return R.linear_dw(v.dy, v.x) end

return ops

-- SPDX-License-Identifier: Apache-2.0
--- Operations on each row by itself, and the norm of a map.

local activations = require "graph.activations"
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

--- f(x) of lua/graph/activations.lua.
ops.act = { roles = { "x" }, attributes = { f = { schema.one_of(table.unpack(activations.known)), true } },
  shape = same, macs = none }
function ops.act.run(R, op, v) return activations.run(R, op.f, v.x) end

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

--- The last dimension to mean 0 and deviation 1, times gamma, plus beta.
ops.layernorm = { roles = { "x", "gamma", "beta" }, attributes = { eps = { number, true } }, shape = same, macs = none }
function ops.layernorm.run(R, op, v) return R.layernorm(v.x, v.gamma, v.beta, op.eps) end

--- All of a map [n,h,w,c], its places and channels together, to mean 0 and deviation 1, times gamma, plus beta [c]. A
-- line of w places has sums of its own, which are added in order.
ops.mapnorm = { roles = { "x", "gamma", "beta" }, attributes = { eps = { number, true } }, shape = same,
  macs = none }
function ops.mapnorm.run(R, op, v)
  local s, list = op.shape_of.x, {}
  local rows = s[2] * s[3]
  for i = 1, s[1] do
    list[i] = R.mapnorm(v.x:slice(1, (i - 1) * rows, rows), v.gamma, v.beta, op.eps, s[3])
  end
  return s[1] == 1 and list[1] or R.stacked(list)
end

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

return ops

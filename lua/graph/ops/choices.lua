-- SPDX-License-Identifier: Apache-2.0
--- Rows that are chosen at run time, as pre-training chooses patches.

local expressions = require "graph.expressions"
local kinds = require "graph.kinds"

local ops = {}

--- Rows of x, of which index [n,1] says each, from 0.
ops.pick = { roles = { "x", "index" }, attributes = {}, macs = kinds.none, counted = kinds.never }
function ops.pick.shape(_, v) return { v.index.shape[1], v.x.shape[#v.x.shape] } end
function ops.pick.run(R, _, v)
  local list = v.index:totable()
  for i, row in ipairs(list) do
    list[i] = math.tointeger(row) or error "pick: expected whole numbers"
  end
  return R.rows(v.x, list)
end
function ops.pick.gradient(g, _, v, dy) return { x = g:embed_dtable(dy, v.index, { count = kinds.rows_of(v.x) }) } end

-- One of two shares that are given.
local function share(v, i) return v.shares:totable()[i] end

local function times(R, x, s) return R.evaluate(expressions.of(function(one) return one * s end), x) end

--- a x + b y of shares [1,2], a and b: two products, then their sum, each rounded. No gradient passes to y.
ops.mix = { roles = { "x", "y", "shares" }, attributes = {}, shape = kinds.same, macs = kinds.none }
function ops.mix.run(R, _, v) return R.add(times(R, v.x, share(v, 1)), times(R, v.y, share(v, 2))) end
function ops.mix.gradient(g, _, v, dy) return { x = g:weigh(dy, v.shares) } end

--- a x of shares [1,2], a and b.
ops.weigh = { roles = { "x", "shares" }, attributes = {}, shape = kinds.same, macs = kinds.none,
  no_gradient = kinds.SECOND }
function ops.weigh.run(R, _, v) return times(R, v.x, share(v, 1)) end

return ops

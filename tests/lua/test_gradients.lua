-- SPDX-License-Identifier: Apache-2.0
-- Gradients of the graph: each operation's against finite differences in double precision, and what both classes of
-- float32 give against those; expanded operations against what they were, bit for bit; what differentiate builds.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local tensor = spec.host "msagen.tensor"
if not tensor then return end
local differentiate, expand, interpreter = require "graph.differentiate", require "graph.passes.expand",
  require "graph.interpreter"
local kinds, ops, reference, ssa = require "graph.kinds", require "graph.ops", require "msagen.reference",
  require "graph.ssa"

local CLASSES = { "f32-fma-1", "f32-muladd-1" }
local TRUTH = reference.of "float64"

-- Numbers in [-1, 1) that float32 has, the same in every class. @param seed of the value
local function numbers(R, value, seed)
  local width = value.shape[#value.shape]
  return R.pattern(1 + 7919 * seed, kinds.product(value.shape) // width, width)
end

-- A case: build(g) -> result, made of inputs of g named a, b, c...; wanted: names of those to differentiate by, all
-- unless said.
local function graph_of(case)
  local g = ssa.new()
  g:layer "layer"
  local y = case.build(g)
  if not case.whole then
    local wanted = {}
    for _, name in ipairs(case.wanted or {}) do wanted[#wanted + 1] = g.inputs[name] end
    if not case.wanted then
      for _, value in pairs(g.inputs) do wanted[#wanted + 1] = value end
    end
    table.sort(wanted, function(a, b) return a.id < b.id end)
    local _, took = expand(g, { wanted = wanted })
    y = took[y] or y
    g:output("y", y)
    for value, dx in pairs(differentiate(g, { seeds = { [y] = "dy" }, wanted = wanted })) do
      g:output("d_" .. value.name, dx)
    end
    return g, y, wanted
  end
end

local function given_of(R, g, case)
  local given = {}
  for name, value in pairs(g.inputs) do
    given[name] = case.given and case.given[name] == false and nil or numbers(R, value, value.id)
  end
  for name, made in pairs(case.given or {}) do
    if made then given[name] = made(R, g.inputs[name]) end
  end
  return given
end

local function run(R, g, given, wanted, case)
  return interpreter.run(R, g, given, wanted, nil, { count = case.count })
end

-- The sum of y dy in double precision, with number i of an input moved by so much.
local function moved(g, given, case, name, i, by)
  local before = given[name]
  local list = before:totable()
  list[i] = list[i] + by
  given[name] = tensor.in_double(tensor.from, list, before.shape)
  local y, dy, sum = run(TRUTH, g, given, { "y" }, case).y:totable(), given.dy:totable(), 0
  given[name] = before
  for k = 1, #y do sum = sum + y[k] * dy[k] end
  return sum
end

-- Five points: an error of the fourth power of the step.
local STEP = 1e-3
local function difference(g, given, case, name, i)
  local function at(by) return moved(g, given, case, name, i, by * STEP) end
  return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * STEP)
end

local function largest(list)
  local most = 0
  for _, v in ipairs(list) do
    assert(v == v, "NaN")
    most = math.max(most, math.abs(v))
  end
  return most
end

-- Numbers of an input that are moved: all, or some of many.
local MOST = 12
local function chosen(count)
  local list, step = {}, math.max(1, count // MOST)
  for i = 1, count, step do list[#list + 1] = i end
  if list[#list] ~= count then list[#list + 1] = count end
  return list
end

local function check_differences(case)
  tensor.in_double(function()
    local g, _, wanted = graph_of(case)
    local given, checked = given_of(TRUTH, g, case), 0
    for _, value in ipairs(wanted) do
      local name = "d_" .. value.name
      assert(g.outputs[name], name .. ": no gradient")
      equal({ name, g.outputs[name].shape }, { name, value.shape })
      local dx = run(TRUTH, g, given, { name }, case)[name]:totable()
      local scale = largest(dx)
      for _, i in ipairs(chosen(#dx)) do
        local expected = difference(g, given, case, value.name, i)
        assert(math.abs(dx[i] - expected) <= 1e-8 * math.max(scale, 1),
          ("%s[%d]: differences give %.12g, found %.12g"):format(name, i, expected, dx[i]))
        checked = checked + 1
      end
      assert(scale > 0, name .. " is 0")
    end
    assert(checked > 0)
  end)
end

-- What float32 rounds in a sum of so many terms, of their size.
local EPS = 2.0 ^ -24
local function check_classes(case)
  local g, _, wanted = graph_of(case)
  local truth_graph = tensor.in_double(graph_of, case)
  local given = tensor.in_double(given_of, TRUTH, truth_graph, case)
  for _, class in ipairs(CLASSES) do
    local R = reference.of(class)
    local mine = given_of(R, g, case)
    for _, value in ipairs(wanted) do
      local name = "d_" .. value.name
      local found = run(R, g, mine, { name }, case)[name]
      equal(found.dtype, "f32")
      local exact = tensor.in_double(run, TRUTH, truth_graph, given, { name }, case)[name]:totable()
      local scale, error = largest(exact), 0
      for i, v in ipairs(found:totable()) do error = math.max(error, math.abs(v - exact[i])) end
      assert(error <= (case.terms or 64) * EPS * math.max(scale, 1),
        ("%s: %s: %.3g of %.3g, %.1f eps"):format(class, name, error, scale, error / EPS / math.max(scale, 1)))
    end
  end
end

local function I(g, name, ...) return g:input(name, { ... }) end

local CASES = {
  linear = { build = function(g)
    return g:linear(I(g, "a", 70, 5), I(g, "b", 19, 5), I(g, "c", 19), I(g, "d", 70, 19))
  end },
  ["linear, of a value"] = { build = function(g)
    return g:linear(I(g, "a", 1, 4, 5, 18), I(g, "b", 3, 18), nil, nil, { value = true })
  end },
  add = { build = function(g) return g:add(I(g, "a", 6, 7), I(g, "b", 6, 7)) end },
  ["add, scaled"] = { build = function(g) return g:add(I(g, "a", 6, 7), I(g, "b", 6, 7), { scale = 0.3 }) end },
  ["add, of a row"] = { build = function(g) return g:add(I(g, "a", 1, 9, 8, 7), I(g, "b", 1, 7)) end },
  ["add, of a slice of three"] = { build = function(g) return g:add(I(g, "a", 3, 2, 2, 7), I(g, "b", 4, 7)) end },
  ["add, of a value to itself"] = { build = function(g)
    local a = I(g, "a", 4, 5)
    return g:times(g:add(a, g:scale(a, { s = 0.7 })), a)
  end },
  layernorm = { build = function(g)
    return g:layernorm(I(g, "a", 67, 21), I(g, "b", 21), I(g, "c", 21), { eps = 1e-6 })
  end },
  mapnorm = { build = function(g)
    return g:mapnorm(I(g, "a", 2, 6, 6, 5), I(g, "b", 5), I(g, "c", 5), { eps = 1e-5 })
  end },
  multiply = { build = function(g) return g:multiply(I(g, "a", 2, 3, 4, 5), I(g, "b", 2, 1, 1, 5)) end },
  ["column_mean"] = { build = function(g) return g:column_mean(I(g, "a", 2, 3, 5, 7)) end },
  pixels = { build = function(g) return g:pixels(I(g, "a", 1, 4, 4, 3)) end },
  ["gather, each row once at most"] = { build = function(g)
    return g:gather(I(g, "a", 6, 5), I(g, "b", 1, 5), { index = function() return { 3, 6, 0, 5, 6 } end,
      to = { 5, 5 } })
  end },
  ["gather, all rows"] = { build = function(g)
    return g:gather(I(g, "a", 4, 5), nil, { index = function() return { 3, 1, 0, 2 } end, to = { 2, 2, 5 } })
  end },
  ["gather, rows several times"] = { build = function(g)
    return g:gather(I(g, "a", 4, 5), I(g, "b", 1, 5), { index = function() return { 3, 1, 4, 3, 0, 3, 4 } end,
      to = { 7, 5 } })
  end },
  scatter = { build = function(g)
    return g:scatter(I(g, "a", 6, 5), { index = function() return { 2, 0, 3, 2, 2, 3 } end, to = { 3, 5 } })
  end },
  ["slice, parts of all"] = { build = function(g)
    local a = I(g, "a", 9, 4)
    local function part(i) return g:slice(a, { first = i * 3, count = 3 }) end
    return g:times(g:add(part(2), part(0)), part(1))
  end },
  ["slice, some of it and all of it"] = { build = function(g)
    local a = I(g, "a", 9, 4)
    return g:concat { g:slice(a, { first = 1, count = 2 }), a, g:slice(a, { first = 3, count = 2 }),
      g:slice(a, { first = 2, count = 6 }) }
  end },
  ["slice, of a list of numbers"] = { build = function(g)
    local a, b = I(g, "a", 9), I(g, "b", 5, 2)
    local w = I(g, "w", 4, 2)
    return g:add(g:linear(b, w, g:slice(a, { first = 1, count = 4 })),
      g:linear(b, w, g:slice(a, { first = 5, count = 4 })))
  end, wanted = { "a" } },
  place = { build = function(g) return g:place(I(g, "a", 3, 2, 4), { first = 1, to = { 6, 2, 4 } }) end },
  concat = { build = function(g) return g:concat { I(g, "a", 2, 4), I(g, "b", 1, 3, 4), I(g, "c", 1, 4) } end },
  ["reshape, permute"] = { build = function(g)
    return g:reshape(g:permute(I(g, "a", 2, 3, 4, 5), { order = { 4, 2, 3, 1 } }), { to = { 15, 8 } })
  end },
  ["select, given"] = { build = function(g)
    return g:select(g:add(I(g, "a", 3, 4), I(g, "b", 3, 4)), I(g, "c", 3, 4), { given = "a" })
  end, wanted = { "a", "b" } },
  ["times, scale, taken"] = { build = function(g)
    return g:taken(g:scale(g:times(I(g, "a", 3, 4), I(g, "b", 3, 4)), { s = -1.5 }), { given = "a", holds = true })
  end },
  ["conv, channel"] = { build = function(g)
    return g:conv(I(g, "a", 2, 6, 9, 3), I(g, "b", 5, 3, 3, 3), I(g, "c", 5), { stride = 3, sums = "channel" })
  end },
  ["conv, whole"] = { build = function(g)
    return g:conv(I(g, "a", 2, 6, 4, 3), I(g, "b", 5, 3, 2, 2), I(g, "c", 5), { stride = 2, sums = "whole" })
  end },
  ["conv, tap"] = { build = function(g)
    return g:conv(I(g, "a", 2, 5, 4, 3), I(g, "b", 6, 3, 3, 3), nil, { stride = 1, sums = "tap" })
  end },
  conv_transpose = { build = function(g) return g:conv_transpose(I(g, "a", 2, 3, 4, 5), I(g, "b", 5, 3, 2, 2),
    I(g, "c", 3)) end },
  ["unfold, 3 x 3"] = { build = function(g) return g:unfold(I(g, "a", 2, 5, 6, 3), { side = 3, stride = 2 }) end },
  ["unfold, 2 x 2"] = { build = function(g) return g:unfold(I(g, "a", 1, 4, 4, 3), { side = 2, stride = 1 }) end },
  interleave = { build = function(g) return g:interleave(I(g, "a", 2, 4, 3, 12)) end },
  ["depthwise_conv, stride 1"] = { build = function(g)
    return g:depthwise_conv(I(g, "a", 2, 5, 5, 7), I(g, "b", 7, 9), I(g, "c", 7), { side = 3, stride = 1 })
  end },
  ["depthwise_conv, stride 2"] = { build = function(g)
    return g:depthwise_conv(I(g, "a", 1, 6, 5, 7), I(g, "b", 7, 9), I(g, "c", 7), { side = 3, stride = 2 })
  end },
  table_attention = { terms = 256, build = function(g)
    return g:table_attention(I(g, "a", 4, 9, 10), I(g, "b", 4, 9, 10), I(g, "c", 4, 9, 10), I(g, "d", 2, 9),
      { heads = 2, window = 3 })
  end },
}

for _, name in ipairs(require "graph.activations".known) do
  -- ReLU has no derivative at 0, where no number of the pattern is, nor near it.
  CASES["act, " .. name] = { build = function(g) return g:act(g:scale(I(g, "a", 9, 11), { s = 7 }), { f = name }) end }
end

-- Attention among grids: { heads, width, grids, {height, width}, window, with tables, with padding }
local function attention(heads, C, n, grid, window, tables, pads)
  return { terms = 512, build = function(g)
    local function rows(name) return g:input(name, { n, grid[1], grid[2], C }) end
    local side_h, side_w = window or grid[1], window or grid[2]
    return g:attention(rows "q", rows "k", rows "v", tables and I(g, "rel_h", 2 * side_h - 1, C // heads),
      tables and I(g, "rel_w", 2 * side_w - 1, C // heads), pads and I(g, "k_pad", 1, C), pads and I(g, "v_pad", 1, C),
      { heads = heads, grid = grid, window = window })
  end }
end
CASES["attention, a grid"] = attention(2, 10, 1, { 3, 4 })
CASES["attention, several grids with tables"] = attention(3, 6, 2, { 3, 5 }, nil, true)
CASES["attention, more than 64 queries"] = attention(1, 17, 1, { 9, 8 }, nil, true)
CASES["attention, windows that divide the grid"] = attention(2, 10, 2, { 4, 4 }, 2, true)
CASES["attention, windows cut with padding and tables"] = attention(2, 10, 2, { 5, 5 }, 3, true, true)
CASES["attention, windows cut with padding"] = attention(1, 7, 1, { 4, 5 }, 3, false, true)
CASES["attention, windows cut without padding"] = attention(2, 6, 1, { 5, 4 }, 3, true)
CASES["attention, one grid in one head"] = attention(1, 33, 1, { 2, 2 }, nil, true)

local function cross(queries, keys)
  return { terms = 256, build = function(g)
    return g:attention(I(g, "q", queries, 12), I(g, "k", keys, 12), I(g, "v", keys, 12), nil, nil, nil, nil,
      { heads = 3 })
  end }
end
CASES["attention, to others"] = cross(5, 70)
CASES["attention, of many"] = cross(130, 6)

-- Tokens: 5 of 8 rows are there, the rest is +0, and so is their gradient.
local function rows_of_count(count)
  return function(R, value)
    local width = value.shape[2]
    return R.stacked { numbers(R, { shape = { count, width } }, value.id), kinds.zeros(value.shape[1] - count, width) }
  end
end
local some = rows_of_count(5)
CASES["attention, counted keys"] = { terms = 256, count = 5, wanted = { "q", "k", "v" },
  given = { k = some, v = some },
  build = function(g)
    return g:attention(I(g, "q", 7, 12), g:input("k", { 8, 12 }, true), g:input("v", { 8, 12 }, true), nil, nil, nil,
      nil, { heads = 3 })
  end }

local names = {}
for name in pairs(CASES) do names[#names + 1] = name end
table.sort(names)

describe("gradients by finite differences in double precision:", function()
  for _, name in ipairs(names) do it(name, function() check_differences(CASES[name]) end) end
end)

describe("gradients of both classes near those in double precision:", function()
  for _, name in ipairs(names) do it(name, function() check_classes(CASES[name]) end) end
end)

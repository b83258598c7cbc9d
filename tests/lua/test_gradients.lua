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

-- A case: build(g) -> result, made of inputs of g; wanted: names of those to differentiate by, all unless said; given:
-- name -> function(R, value) -> what it is, random numbers unless said, false for not given; count: of what is counted.
-- Gives the graph, with outputs y and d_NAME, and the values that are wanted.
local function graph_of(case)
  local g = ssa.new()
  g:layer "layer"
  local y = case.build(g)
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
  return g, wanted
end

local function given_of(R, g, case)
  local given = {}
  for name, value in pairs(g.inputs) do
    local made = case.given and case.given[name]
    if made ~= false then given[name] = made and made(R, value) or numbers(R, value, value.id) end
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
    local g, wanted = graph_of(case)
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

-- Half a unit in the last place of a number from 1 to 2. Sums here are of few terms, and as large as their largest
-- one: a result's error is a few of these; of attention, with a softmax before, a few times as many.
local EPS = 2.0 ^ -24
local function check_classes(case)
  local g, wanted = graph_of(case)
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
      assert(error <= (case.terms or 8) * EPS * math.max(scale, 1),
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
  ["select, not given"] = { build = function(g)
    return g:select(g:add(I(g, "a", 3, 4), I(g, "b", 3, 4)), g:times(I(g, "c", 3, 4), g.inputs.b), { given = "a" })
  end, wanted = { "b", "c" }, given = { a = false } },
  embed = { build = function(g) return g:embed(I(g, "a", 6, 5), I(g, "b", 4, 5), I(g, "index", 6, 1)) end,
    wanted = { "a", "b" }, given = { index = function()
      return tensor.from({ 2, -1, 0, 2, 3, -1 }, { 6, 1 })
    end } },
  ["pick, mix"] = { build = function(g)
    return g:mix(g:pick(I(g, "a", 6, 5), I(g, "index", 4, 1)), I(g, "b", 4, 5), I(g, "shares", 1, 2))
  end, wanted = { "a" }, given = { index = function() return tensor.from({ 5, 0, 3, 0 }, { 4, 1 }) end,
    shares = function() return tensor.from({ 0.75, 0.25 }, { 1, 2 }) end } },
  column_sum = { build = function(g) return g:times(g:column_sum(I(g, "a", 70, 5)), I(g, "b", 1, 5)) end },
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
  table_attention = { terms = 32, build = function(g)
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
  return { terms = 32, build = function(g)
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
  return { terms = 32, build = function(g)
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
CASES["attention, counted keys"] = { terms = 32, count = 5, wanted = { "q", "k", "v" },
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

-- ---- expanded operations ----

local function tensor_of(shape, seed)
  return numbers(reference, { shape = shape }, seed):reshape(shape):rename("layer.0.w" .. seed)
end

-- What an operation on a parameter w and a bias, or on inputs a and b of their shapes, gives for a fixed x.
local function expanded_digests(class, shape, w_shape, build, how)
  local R, g, given = reference.of(class), ssa.new(), {}
  g:layer "layer"
  local x, w, b = g:input("x", shape), nil, nil
  if how == "inputs" then
    w, b = g:input("w", w_shape), g:input("b", { w_shape.outputs })
  else
    w = g:parameter({ name = "layer.0.weight" }, tensor_of(w_shape, 3))
    b = g:parameter({ name = "layer.0.bias" }, tensor_of({ w_shape.outputs }, 4))
  end
  g:output("y", g:scale(build(g, x, w, b), { s = 1 }))
  given.x, given.w, given.b = numbers(R, x, 1), R.packed(tensor_of(w_shape, 3)):reshape(w_shape),
    R.packed(tensor_of({ w_shape.outputs }, 4))
  local function digest() return R.crc32c(0, interpreter.run(R, g, given, { "y" }).y) end
  local before, kinds_before = digest(), {}
  for _, op in ipairs(g.values) do kinds_before[op.kind] = true end
  expand(g, { all = true, live = function() return how == "live" end })
  for _, op in ipairs(g.values) do
    assert(not ops.table[op.kind].expand, op.kind .. " is left")
    assert(how ~= "frozen" or op.kind ~= "parameter" or op.name:match "bias$" or #op.inputs == 0)
  end
  return before, digest(), g
end

local COMPOSITE = {
  ["conv, channel"] = { { 2, 6, 9, 3 }, { 5, 3, 3, 3, outputs = 5 }, function(g, x, w, b)
    return g:conv(x, w, b, { stride = 3, sums = "channel" })
  end },
  ["conv, whole"] = { { 1, 8, 6, 3 }, { 5, 3, 2, 2, outputs = 5 }, function(g, x, w, b)
    return g:conv(x, w, b, { stride = 2, sums = "whole" })
  end },
  ["conv, tap"] = { { 2, 5, 7, 6 }, { 4, 6, 3, 3, outputs = 4 }, function(g, x, w)
    return g:conv(x, w, nil, { stride = 1, sums = "tap" })
  end },
  conv_transpose = { { 2, 3, 5, 6 }, { 6, 3, 2, 2, outputs = 3 }, function(g, x, w, b)
    return g:conv_transpose(x, w, b)
  end },
  ["unfold, 3 x 3"] = { { 2, 7, 5, 3 }, { 1, 1, outputs = 1 }, function(g, x)
    return g:unfold(x, { side = 3, stride = 2 })
  end },
  ["unfold, 2 x 2"] = { { 2, 4, 5, 3 }, { 1, 1, outputs = 1 }, function(g, x)
    return g:unfold(x, { side = 2, stride = 1 })
  end },
  interleave = { { 2, 4, 3, 12 }, { 1, 1, outputs = 1 }, function(g, x) return g:interleave(x) end },
}

describe("expanded operations have the same bits:", function()
  local covered = {}
  for name, one in pairs(COMPOSITE) do
    covered[name:match "^[%l_]+"] = true
    for _, how in ipairs { "inputs", "frozen", "live" } do
      it(("%s, weights that are %s"):format(name, how), function()
        for _, class in ipairs { CLASSES[1], CLASSES[2], "float64" } do
          local before, after
          if class == "float64" then
            before, after = tensor.in_double(expanded_digests, class, one[1], one[2], one[3], how)
          else
            before, after = expanded_digests(class, one[1], one[2], one[3], how)
          end
          equal({ class, after }, { class, before })
        end
      end)
    end
  end
  it("each that there is", function()
    for kind, entry in pairs(ops.table) do assert(not entry.expand or covered[kind], kind .. " has no case") end
  end)
  it("of frozen weights constants, of those that train operations on them", function()
    local one = COMPOSITE["conv, tap"]
    local function count(how, kind, name)
      local n = 0
      for _, op in ipairs(select(3, expanded_digests(CLASSES[1], one[1], one[2], one[3], how)).values) do
        if op.kind == kind and (not name or op.name == name) then n = n + 1 end
      end
      return n
    end
    equal({ count("frozen", "constant", "layer.0.tap_8.weight"), count("frozen", "slice") }, { 1, 0 })
    equal({ count("live", "constant", "layer.0.tap_8.weight"), count("live", "slice") }, { 0, 9 })
  end)
end)

-- ---- the set of operations, and what differentiate builds ----

describe("every operation", function()
  for kind, entry in pairs(ops.table) do
    it(("has a gradient, is made of others, or says why neither: %s"):format(kind), function()
      local count = (entry.gradient and 1 or 0) + (entry.expand and 1 or 0) + (entry.no_gradient and 1 or 0)
      equal({ kind, count }, { kind, 1 })
    end)
  end
  it("with a gradient has a case above", function()
    local met = {}
    for _, name in ipairs(names) do
      local g = ssa.new()
      CASES[name].build(g)
      for _, op in ipairs(g.values) do met[op.kind] = true end
    end
    for kind, entry in pairs(ops.table) do
      assert(met[kind] or not entry.gradient and not entry.expand, kind .. ": no case")
    end
  end)
end)

describe("derivatives of activations in float32", function()
  local list = {}
  for i = -6000, 6000 do list[#list + 1] = i / 500 + 1e-4 end
  local x = tensor.from(list, { #list, 1 })
  for _, name in ipairs(require "graph.activations".known) do
    it(("are within 4 half units of those in double: %s"):format(name), function()
      local exact = tensor.in_double(require "graph.activations".run_gradient, TRUTH, name, x):totable()
      for _, class in ipairs(CLASSES) do
        for i, v in ipairs(require "graph.activations".run_gradient(reference.of(class), name, x):totable()) do
          local error = math.abs(v - exact[i])
          assert(error <= 4 * EPS, ("%s: %s'(%g): %.1f"):format(class, name, list[i], error / EPS))
        end
      end
    end)
  end
  it("are 0 of ReLU at 0", function()
    for _, zero in ipairs { 0.0, -0.0 } do
      equal(require "graph.activations".run_gradient(reference, "relu", tensor.from({ zero }, { 1, 1 })):get(0, 0), 0.0)
    end
  end)
end)

describe("differentiate", function()
  local function kinds_of(g, from)
    local list = {}
    for i = from, #g.values do
      if g.values[i].kind ~= "input" then list[#list + 1] = g.values[i].kind end
    end
    return table.concat(list, " ")
  end
  -- Two maps with an activation between; names of those that train.
  local function perceptron(...)
    local g, trains = ssa.new(), {}
    for _, name in ipairs { ... } do trains[name] = true end
    local function map(x, name, outputs, inputs)
      local function tensor_named(last, shape)
        return g:parameter({ name = name .. last }, tensor_of(shape, 1))
      end
      return g:linear(x, tensor_named(".weight", { outputs, inputs }), tensor_named(".bias", { outputs }))
    end
    g:layer "first"
    local x = g:input("x", { 6, 5 })
    local hidden = g:act(map(x, "a", 7, 5), { f = "relu" })
    g:layer "second"
    local y = map(hidden, "b", 3, 7)
    local before = #g.values
    local gradients = differentiate(g, { seeds = { [y] = "dy" },
      live = function(parameter) return trains[parameter.name] or false end })
    local found = {}
    for value, dx in pairs(gradients) do
      found[#found + 1] = value.name
      equal(dx.shape, value.shape)
    end
    table.sort(found)
    return { kinds_of(g, before + 1), table.concat(found, " ") }, g
  end

  it("makes what the tensors that train need, and no more", function()
    equal((perceptron "b.bias"), { "column_sum reshape", "b.bias" })
    equal((perceptron "b.weight"), { "linear_dw", "b.weight" })
    equal((perceptron "a.weight"), { "linear_dx act_dx linear_dw", "a.weight" })
    equal((perceptron("a.bias", "b.weight")), { "linear_dx linear_dw act_dx column_sum reshape", "a.bias b.weight" })
    equal((perceptron()), { "", "" })
  end)

  it("puts operations into layers of their own, and the gradient of the result where it is given", function()
    local _, g = perceptron "a.weight"
    local labels = {}
    for _, op in ipairs(g.values) do labels[op.kind] = op.label end
    equal({ labels.linear_dx, labels.act_dx, labels.linear_dw },
      { "second_backward", "first_backward", "first_backward" })
    equal({ g.inputs.dy.shape, g.inputs.dy.label, g.label }, { { 6, 3 }, "second_backward", "second" })
  end)

  it("joins the gradients of parts that slices part a tensor into, without additions", function()
    local g = ssa.new()
    g:layer "block"
    local x, w = g:input("x", { 6, 4 }), g:parameter({ name = "qkv.weight" }, tensor_of({ 12, 4 }, 1))
    local bias = g:parameter({ name = "qkv.bias" }, tensor_of({ 12 }, 2))
    local parts = {}
    for i = 0, 2 do
      local at = { first = 4 * i, count = 4 }
      parts[i + 1] = g:linear(x, g:slice(w, at), g:slice(bias, at))
    end
    local y = g:attention(parts[1], parts[2], parts[3], nil, nil, nil, nil, { heads = 2 })
    local before = #g.values
    local gradients = differentiate(g, { seeds = { [y] = "dy" }, live = function() return true end })
    equal(gradients[w].kind, "concat")
    equal({ gradients[bias].kind, gradients[bias].inputs[1].kind }, { "reshape", "concat" })
    local text = kinds_of(g, before + 1)
    assert(not text:find "add" and not text:find "place", text)
    local at = {}
    for i, value in ipairs(gradients[w].inputs) do at[i] = value.kind end
    equal(at, { "linear_dw", "linear_dw", "linear_dw" })
  end)

  it("adds the gradients of a value in the order in which they are met", function()
    local g = ssa.new()
    g:layer "one"
    local x = g:input("x", { 2, 3 })
    local y = g:add(g:add(x, g:scale(x, { s = 2 })), g:scale(x, { s = 3 }))
    local dx = differentiate(g, { seeds = { [y] = "dy" }, wanted = { x } })[x]
    -- The last operation is met first: 3 dy, then dy of the inner addition, then 2 dy.
    equal({ dx.kind, dx.inputs[2].kind, dx.inputs[2].s }, { "add", "scale", 2 })
    equal({ dx.inputs[1].inputs[1].s, dx.inputs[1].inputs[2].name }, { 3, "dy" })
  end)

  it("refuses what has no gradient", function()
    local function of(build)
      return function()
        local g = ssa.new()
        g:layer "odd"
        local x = g:input("x", { 1, 4, 4, 3 })
        differentiate(g, { seeds = { [build(g, x)] = "dy" }, wanted = { x } })
      end
    end
    refuses(of(function(g, x) return g:unfold(x, { side = 3, stride = 1 }) end), "odd: unfold", "is not expanded")
    refuses(of(function(g, x) return g:layernorm_dgamma(x, x, { eps = 1e-6 }) end), "odd: layernorm_dgamma",
      "gradients of gradients")
    refuses(of(function(g, x) return g:attention(x, x, x, nil, nil, nil, nil, { heads = 1, causal = { 16 } }) end),
      "odd: attention", "those before them")
    local entries = require "graph.activations".entries
    local kept = entries.relu.gradient
    entries.relu.gradient = nil
    local ok, problem = pcall(refuses, of(function(g, x) return g:act(x, { f = "relu" }) end),
      "odd_backward: act_dx: expected an activation with a gradient, found relu")
    entries.relu.gradient = kept
    assert(ok, problem)
  end)
end)

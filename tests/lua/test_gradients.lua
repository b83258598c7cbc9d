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

-- Half a unit in the last place of a number from 1 to 2. Sums here are of few terms, and as large as their largest
-- one: a result's error is a few of these; of attention, with a softmax before, a few times as many.
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

-- ---- what is defined to the bit ----

-- f32-muladd-1 in Lua: products of float32 are exact in double, and a sum of two of them rounds as once.
local function f32(v) return (string.unpack("<f", string.pack("<f", v))) end
local function add(a, b) return f32(a + b) end
local function fma(a, b, c) return f32(f32(a * b) + c) end
local MULADD = reference.of "f32-muladd-1"
local function exp(v)
  local expressions = require "graph.expressions"
  return MULADD.evaluate(expressions.of(expressions.exp), tensor.from({ v }, { 1, 1 })):get(0, 0)
end

local function tree(part)
  local half = 8
  while half > 0 do
    for i = 1, half do part[i] = add(part[i], part[i + half]) end
    half = half // 2
  end
  return part[1]
end
-- The sum of term(i) by sixteen partial sums. @param step function(part, i) -> part
local function sum16(count, step)
  local part = {}
  for i = 1, 16 do part[i] = 0.0 end
  for i = 0, count - 1 do part[i % 16 + 1] = step(part[i % 16 + 1], i) end
  return tree(part)
end
-- The block sum over rows. @param step function(sum, row) -> sum
local function block_sum(rows, step)
  local all
  for first = 0, rows - 1, 64 do
    local sum = 0.0
    for r = first, math.min(first + 64, rows) - 1 do sum = step(sum, r) end
    all = all and add(all, sum) or sum
  end
  return all
end

-- Numbers by row and column, from 0.
local function reader(matrix)
  local list, width = matrix:totable(), matrix.shape[#matrix.shape]
  return function(r, c) return list[r * width + c + 1] end
end

local function same(found, expected) equal(found:totable(), expected) end

local function run_one(kind, attributes, shape_of, v, context)
  local op = { kind = kind, shape_of = shape_of }
  for key, value in pairs(attributes) do op[key] = value end
  local by_shape = {}
  for role, shape in pairs(shape_of) do by_shape[role] = { shape = shape } end
  op.shape = ops.table[kind].shape(op, by_shape)
  return ops.table[kind].run(MULADD, op, v, context or { given = {}, counted = {} })
end

describe("gradients to the bit, by sums written down in Lua:", function()
  local dy, x = MULADD.pattern(3, 150, 5), MULADD.pattern(4000, 150, 19)
  local a, b = reader(dy), reader(x)

  it("linear_dx", function()
    local w = MULADD.pattern(9000, 5, 19)
    local at, list = reader(w), {}
    for r = 0, 149 do
      for k = 0, 18 do
        local sum = 0.0
        for n = 0, 4 do sum = fma(a(r, n), at(n, k), sum) end
        list[#list + 1] = sum
      end
    end
    same(run_one("linear_dx", {}, { dy = { 150, 5 }, w = { 5, 19 } }, { dy = dy, w = w }), list)
  end)

  it("linear_dw, column_sum", function()
    local list, sums = {}, {}
    for n = 0, 4 do
      sums[n + 1] = block_sum(150, function(sum, r) return add(sum, a(r, n)) end)
      for k = 0, 18 do
        list[#list + 1] = block_sum(150, function(sum, r) return fma(a(r, n), b(r, k), sum) end)
      end
    end
    same(run_one("linear_dw", {}, { dy = { 150, 5 }, x = { 150, 19 } }, { dy = dy, x = x }), list)
    same(run_one("column_sum", {}, { x = { 150, 5 } }, { x = dy }), sums)
  end)

  it("layernorm_dx, layernorm_dgamma", function()
    local C, gamma, one = 19, MULADD.pattern(77, 1, 19), MULADD.pattern(20000, 150, 19)
    local g, t, dx, h = reader(gamma), reader(one), {}, {}
    for r = 0, 149 do
      local mean = f32(sum16(C, function(part, c) return add(part, b(r, c)) end) / C)
      local squares = sum16(C, function(part, c)
        local d = add(b(r, c), -mean)
        return fma(d, d, part)
      end)
      local rstd = f32(1 / f32(math.sqrt(add(f32(squares / C), f32(1e-6)))))
      h[r] = {}
      for c = 0, C - 1 do h[r][c] = f32(add(b(r, c), -mean) * rstd) end
      local function tg(c) return f32(t(r, c) * g(0, c)) end
      local m1 = f32(sum16(C, function(part, c) return add(part, tg(c)) end) / C)
      local m2 = f32(sum16(C, function(part, c) return fma(tg(c), h[r][c], part) end) / C)
      for c = 0, C - 1 do dx[#dx + 1] = f32(fma(-h[r][c], m2, add(tg(c), -m1)) * rstd) end
    end
    local shapes = { dy = { 150, C }, x = { 150, C }, gamma = { C } }
    same(run_one("layernorm_dx", { eps = 1e-6 }, shapes, { dy = one, x = x, gamma = gamma }), dx)
    local dgamma = {}
    for c = 0, C - 1 do
      dgamma[c + 1] = block_sum(150, function(sum, r) return fma(t(r, c), h[r][c], sum) end)
    end
    same(run_one("layernorm_dgamma", { eps = 1e-6 }, shapes, { dy = one, x = x }), dgamma)
  end)

  it("act_dx: one product", function()
    local slope = require "graph.activations".run_gradient(MULADD, "gelu", dy)
    local s, t, list = reader(slope), reader(x), {}
    for r = 0, 149 do
      for c = 0, 4 do list[#list + 1] = f32(t(r, c) * s(r, c)) end
    end
    same(run_one("act_dx", { f = "gelu" }, { dy = { 150, 5 }, x = { 150, 5 } },
      { dy = MULADD.packed(x:slice(2, 0, 5)), x = dy }), list)
  end)

  it("scatter: in the order of its index", function()
    local index, list = { 2, 0, 3, 2, 2 }, {}
    for row = 0, 2 do
      for c = 0, 4 do
        local sum = 0.0
        for i, to in ipairs(index) do
          if to == row then sum = add(sum, a(i - 1, c)) end
        end
        list[#list + 1] = sum
      end
    end
    same(run_one("scatter", { index = function() return index end, to = { 3, 5 } }, { x = { 5, 5 } },
      { x = dy:slice(1, 0, 5) }), list)
  end)
end)

-- attention_dqkv as docs/arithmetic.md has it. @param s a set: queries (rows of q), keys: { row of k or "pad" }...,
-- wide: keys a row; places of the queries; sums go on in `sums`
local function set_gradients(s, v, C, heads, sums, out)
  local d, scale = C // heads, f32(1 / math.sqrt(C // heads))
  local N = #s.keys
  local function key(which, j, c)
    if s.keys[j + 1] == "pad" then return v[which .. "_pad"](0, c) end
    return v[which](s.keys[j + 1], c)
  end
  for h = 0, heads - 1 do
    local at, p, ds = h * d, {}, {}
    for i, row in ipairs(s.queries) do
      local place_y, place_x = s.places[i] // s.side_w, s.places[i] % s.side_w
      local function relative(which, place, length, other)
        local sum = 0.0
        for c = 0, d - 1 do sum = fma(v.q(row, at + c), v[which](place + length - 1 - other, c), sum) end
        return sum
      end
      local rh, rw = {}, {}
      for y = 0, s.side_h - 1 do rh[y] = relative("rel_h", place_y, s.side_h, y) end
      for x = 0, s.side_w - 1 do rw[x] = relative("rel_w", place_x, s.side_w, x) end
      local logits, top = {}, -math.huge
      for j = 0, N - 1 do
        local sum = add(rh[j // s.wide], rw[j % s.wide])
        for c = 0, d - 1 do sum = fma(f32(v.q(row, at + c) * scale), key("k", j, at + c), sum) end
        logits[j], top = sum, math.max(top, sum)
      end
      local e = {}
      for j = 0, N - 1 do e[j] = exp(add(logits[j], -top)) end
      local l = sum16(N, function(part, j) return add(part, e[j]) end)
      local D = sum16(d, function(part, c) return fma(v["do"](row, at + c), v.o(row, at + c), part) end)
      p[i], ds[i] = {}, {}
      for j = 0, N - 1 do
        p[i][j] = f32(e[j] / l)
        local dp = 0.0
        for c = 0, d - 1 do dp = fma(v["do"](row, at + c), key("v", j, at + c), dp) end
        ds[i][j] = f32(p[i][j] * add(dp, -D))
      end
      local drh, drw = {}, {}
      for y = 0, s.side_h - 1 do drh[y] = 0.0 end
      for x = 0, s.side_w - 1 do drw[x] = 0.0 end
      for j = 0, N - 1 do
        drh[j // s.wide], drw[j % s.wide] = add(drh[j // s.wide], ds[i][j]), add(drw[j % s.wide], ds[i][j])
      end
      for c = 0, d - 1 do
        local z = 0.0
        for j = 0, N - 1 do z = fma(ds[i][j], key("k", j, at + c), z) end
        z = f32(z * scale)
        for y = 0, s.side_h - 1 do z = fma(drh[y], v.rel_h(place_y + s.side_h - 1 - y, c), z) end
        for x = 0, s.side_w - 1 do z = fma(drw[x], v.rel_w(place_x + s.side_w - 1 - x, c), z) end
        out.q[row * C + at + c + 1] = z
        for y = 0, s.side_h - 1 do
          local t = (place_y + s.side_h - 1 - y) * C + at + c + 1
          sums.rel_h[t] = fma(drh[y], v.q(row, at + c), sums.rel_h[t] or 0.0)
        end
        for x = 0, s.side_w - 1 do
          local t = (place_x + s.side_w - 1 - x) * C + at + c + 1
          sums.rel_w[t] = fma(drw[x], v.q(row, at + c), sums.rel_w[t] or 0.0)
        end
      end
    end
    for c = at, at + d - 1 do
      local padding = { k = 0.0, v = 0.0 }
      for j = 0, N - 1 do
        local dk = block_sum(#s.queries, function(sum, i)
          return fma(ds[i + 1][j], f32(v.q(s.queries[i + 1], c) * scale), sum)
        end)
        local dv = block_sum(#s.queries, function(sum, i)
          return fma(p[i + 1][j], v["do"](s.queries[i + 1], c), sum)
        end)
        if s.keys[j + 1] == "pad" then
          padding.k, padding.v = add(padding.k, dk), add(padding.v, dv)
        else
          out.k[s.keys[j + 1] * C + c + 1], out.v[s.keys[j + 1] * C + c + 1] = dk, dv
        end
      end
      sums.k_pad[c + 1] = add(sums.k_pad[c + 1] or 0.0, padding.k)
      sums.v_pad[c + 1] = add(sums.v_pad[c + 1] or 0.0, padding.v)
    end
  end
end

describe("attention_dqkv to the bit, by sums written down in Lua:", function()
  local function compare(n, height, width, window, pads, heads, C)
    local side_h, side_w = window or height, window or width
    local rows, shapes, v, read = n * height * width, {}, {}, {}
    for i, role in ipairs { "q", "k", "v", "o", "do" } do
      shapes[role] = { n, height, width, C }
      v[role] = MULADD.pattern(i * 5000, rows, C)
    end
    shapes.rel_h, shapes.rel_w = { 2 * side_h - 1, C // heads }, { 2 * side_w - 1, C // heads }
    v.rel_h, v.rel_w = MULADD.pattern(31, 2 * side_h - 1, C // heads), MULADD.pattern(97, 2 * side_w - 1, C // heads)
    if pads then
      shapes.k_pad, shapes.v_pad, v.k_pad, v.v_pad = { 1, C }, { 1, C }, MULADD.pattern(5, 1, C), MULADD.pattern(9, 1, C)
    end
    for role, matrix in pairs(v) do read[role] = reader(matrix) end
    local sums, out = { k_pad = {}, v_pad = {}, rel_h = {}, rel_w = {} }, { q = {}, k = {}, v = {} }
    for grid = 0, n - 1 do
      for top = 0, height - 1, side_h do
        for left = 0, width - 1, side_w do
          local s = { queries = {}, places = {}, keys = {}, side_h = side_h, side_w = side_w,
            wide = pads and side_w or math.min(side_w, width - left) }
          for y = 0, side_h - 1 do
            for x = 0, side_w - 1 do
              local row = (grid * height + top + y) * width + left + x
              if top + y < height and left + x < width then
                s.queries[#s.queries + 1], s.places[#s.places + 1] = row, y * side_w + x
                s.keys[#s.keys + 1] = row
              elseif pads then s.keys[#s.keys + 1] = "pad" end
            end
          end
          set_gradients(s, read, C, heads, sums, out)
        end
      end
    end
    local list = {}
    for _, part in ipairs { out.q, out.k, out.v, pads and sums.k_pad or {}, pads and sums.v_pad or {}, sums.rel_h,
      sums.rel_w } do
      table.move(part, 1, #part, #list + 1, list)
    end
    same(run_one("attention_dqkv", { heads = heads, grid = { height, width }, window = window, pads = pads, rel = true },
      shapes, v), list)
  end

  it("windows cut with padding", function() compare(2, 4, 5, 3, true, 2, 6) end)
  it("windows cut without padding", function() compare(1, 4, 5, 3, false, 1, 5) end)
  it("a grid of more than 64 queries", function() compare(1, 9, 8, nil, false, 2, 6) end)
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
    refuses(of(function(g, x) return g:column_sum(x) end), "odd: column_sum", "gradients of gradients")
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

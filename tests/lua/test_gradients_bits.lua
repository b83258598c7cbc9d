-- SPDX-License-Identifier: Apache-2.0
-- The operations of gradients to the bit: what gen/reference computes is what sums that are written down here in Lua
-- give, in the order that docs/arithmetic.md says.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local tensor = spec.host "msagen.tensor"
if not tensor then return end
local ops, reference = require "graph.ops", require "msagen.reference"

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

  -- Rows 0 to 2 as the sums of the rows of dy that index sends there, in the order of index.
  local function added_by(index)
    local list = {}
    for row = 0, 2 do
      for c = 0, 4 do
        local sum = 0.0
        for i, to in ipairs(index) do
          if to == row then sum = add(sum, a(i - 1, c)) end
        end
        list[#list + 1] = sum
      end
    end
    return list
  end

  it("embed_dtable: in the order of its rows", function()
    local index = { 1, -1, 0, 1, 1 }
    same(run_one("embed_dtable", { count = 3 }, { dy = { 5, 5 }, index = { 5, 1 } }, { dy = dy:slice(1, 0, 5),
      index = tensor.from(index, { 5, 1 }) }), added_by(index))
  end)

  it("scatter: in the order of its index", function()
    local index = { 2, 0, 3, 2, 2 }
    same(run_one("scatter", { index = function() return index end, to = { 3, 5 } }, { x = { 5, 5 } },
      { x = dy:slice(1, 0, 5) }), added_by(index))
  end)
end)

-- attention_dqkv as docs/arithmetic.md has it, of a head of a set: H = { s = the set, v = inputs by role as readers, at
-- = the head's first column, d, C, scale }. A set has queries (rows of q), their places, side_h and side_w, keys (a row
-- of k or "pad" each) and wide, keys a row.
local function key(H, which, j, c)
  if H.s.keys[j + 1] == "pad" then return H.v[which .. "_pad"](0, H.at + c) end
  return H.v[which](H.s.keys[j + 1], H.at + c)
end
local function place(H, i) return H.s.places[i] // H.s.side_w, H.s.places[i] % H.s.side_w end

local function logits_of(H, i)
  local s, v, row, by_row, by_column, list = H.s, H.v, H.s.queries[i], {}, {}, {}
  local function relative(which, at, length, other)
    local sum = 0.0
    for c = 0, H.d - 1 do sum = fma(v.q(row, H.at + c), v[which](at + length - 1 - other, c), sum) end
    return sum
  end
  local place_y, place_x = place(H, i)
  for y = 0, s.side_h - 1 do by_row[y] = relative("rel_h", place_y, s.side_h, y) end
  for x = 0, s.side_w - 1 do by_column[x] = relative("rel_w", place_x, s.side_w, x) end
  for j = 0, #s.keys - 1 do
    local sum = add(by_row[j // s.wide], by_column[j % s.wide])
    for c = 0, H.d - 1 do sum = fma(f32(v.q(row, H.at + c) * H.scale), key(H, "k", j, c), sum) end
    list[j] = sum
  end
  return list
end

-- p and ds of query i.
local function slopes_of(H, i)
  local row, N, logits, e, p, ds = H.s.queries[i], #H.s.keys, logits_of(H, i), {}, {}, {}
  local top = logits[0]
  for j = 1, N - 1 do top = math.max(top, logits[j]) end
  for j = 0, N - 1 do e[j] = exp(add(logits[j], -top)) end
  local l = sum16(N, function(part, j) return add(part, e[j]) end)
  local dp = {}
  for j = 0, N - 1 do
    p[j], dp[j] = f32(e[j] / l), 0.0
    for c = 0, H.d - 1 do dp[j] = fma(H.v["do"](row, H.at + c), key(H, "v", j, c), dp[j]) end
  end
  local D = sum16(N, function(part, j) return fma(p[j], dp[j], part) end)
  for j = 0, N - 1 do ds[j] = f32(p[j] * add(dp[j], -D)) end
  return p, ds
end

-- dq of query i, and what it adds to the tables' gradients.
local function put_query(H, i, ds, sums, out)
  local s, v, row, drh, drw = H.s, H.v, H.s.queries[i], {}, {}
  local place_y, place_x = place(H, i)
  for y = 0, s.side_h - 1 do drh[y] = 0.0 end
  for x = 0, s.side_w - 1 do drw[x] = 0.0 end
  for j = 0, #s.keys - 1 do
    drh[j // s.wide], drw[j % s.wide] = add(drh[j // s.wide], ds[j]), add(drw[j % s.wide], ds[j])
  end
  for c = 0, H.d - 1 do
    local z = 0.0
    for j = 0, #s.keys - 1 do z = fma(ds[j], key(H, "k", j, c), z) end
    z = f32(z * H.scale)
    local function along(which, dr, at, length)
      for other = 0, length - 1 do
        local t = at + length - 1 - other
        z = fma(dr[other], v[which](t, c), z)
        local n = t * H.C + H.at + c + 1
        sums[which][n] = fma(dr[other], v.q(row, H.at + c), sums[which][n] or 0.0)
      end
    end
    along("rel_h", drh, place_y, s.side_h)
    along("rel_w", drw, place_x, s.side_w)
    out.q[row * H.C + H.at + c + 1] = z
  end
end

-- dk and dv of all keys.
local function put_keys(H, p, ds, sums, out)
  local s, v = H.s, H.v
  for c = H.at, H.at + H.d - 1 do
    local padding = { k = 0.0, v = 0.0 }
    for j, at in ipairs(s.keys) do
      local one = { k = block_sum(#s.queries, function(sum, i)
        return fma(ds[i + 1][j - 1], f32(v.q(s.queries[i + 1], c) * H.scale), sum)
      end), v = block_sum(#s.queries, function(sum, i)
        return fma(p[i + 1][j - 1], v["do"](s.queries[i + 1], c), sum)
      end) }
      for which, sum in pairs(one) do
        if at == "pad" then padding[which] = add(padding[which], sum) else out[which][at * H.C + c + 1] = sum end
      end
    end
    for which, sum in pairs(padding) do
      local all = sums[which .. "_pad"]
      all[c + 1] = add(all[c + 1] or 0.0, sum)
    end
  end
end

local function set_gradients(s, v, C, heads, sums, out)
  local d = C // heads
  for h = 0, heads - 1 do
    local H, p, ds = { s = s, v = v, at = h * d, d = d, C = C, scale = f32(1 / math.sqrt(d)) }, {}, {}
    for i = 1, #s.queries do
      p[i], ds[i] = slopes_of(H, i)
      put_query(H, i, ds[i], sums, out)
    end
    put_keys(H, p, ds, sums, out)
  end
end

-- The sets of n grids, in order.
local function sets_of(n, height, width, side_h, side_w, pads)
  local sets = {}
  local function set(grid, top, left)
    local s = { queries = {}, places = {}, keys = {}, side_h = side_h, side_w = side_w,
      wide = pads and side_w or math.min(side_w, width - left) }
    for y = 0, side_h - 1 do
      for x = 0, side_w - 1 do
        local row = (grid * height + top + y) * width + left + x
        if top + y < height and left + x < width then
          s.queries[#s.queries + 1], s.places[#s.places + 1], s.keys[#s.keys + 1] = row, y * side_w + x, row
        elseif pads then s.keys[#s.keys + 1] = "pad" end
      end
    end
    sets[#sets + 1] = s
  end
  for grid = 0, n - 1 do
    for top = 0, height - 1, side_h do
      for left = 0, width - 1, side_w do set(grid, top, left) end
    end
  end
  return sets
end

describe("attention_dqkv to the bit, by sums written down in Lua:", function()
  local function compare(n, height, width, window, pads, heads, C)
    local side_h, side_w = window or height, window or width
    local rows, shapes, v, read = n * height * width, {}, {}, {}
    for i, role in ipairs { "q", "k", "v", "do" } do
      shapes[role], v[role] = { n, height, width, C }, MULADD.pattern(i * 5000, rows, C)
    end
    local function give(role, seed, r, width_of)
      shapes[role], v[role] = { r, width_of }, MULADD.pattern(seed, r, width_of)
    end
    give("rel_h", 31, 2 * side_h - 1, C // heads)
    give("rel_w", 97, 2 * side_w - 1, C // heads)
    if pads then
      give("k_pad", 5, 1, C)
      give("v_pad", 9, 1, C)
    end
    for role, matrix in pairs(v) do read[role] = reader(matrix) end
    local sums, out = { k_pad = {}, v_pad = {}, rel_h = {}, rel_w = {} }, { q = {}, k = {}, v = {} }
    for _, s in ipairs(sets_of(n, height, width, side_h, side_w, pads)) do
      set_gradients(s, read, C, heads, sums, out)
    end
    local list = {}
    for _, part in ipairs { out.q, out.k, out.v, pads and sums.k_pad or {}, pads and sums.v_pad or {}, sums.rel_h,
      sums.rel_w } do
      table.move(part, 1, #part, #list + 1, list)
    end
    same(run_one("attention_dqkv", { heads = heads, grid = { height, width }, window = window, pads = pads,
      rel = true }, shapes, v), list)
  end

  it("windows cut with padding", function() compare(2, 4, 5, 3, true, 2, 6) end)
  it("windows cut without padding", function() compare(1, 4, 5, 3, false, 1, 5) end)
  it("a grid of more than 64 queries", function() compare(1, 9, 8, nil, false, 2, 6) end)
end)

-- SPDX-License-Identifier: Apache-2.0
--- Attention in windows whose logits start from a table, with what surrounds it: a window is gathered from the grid,
-- zeros beyond its edge; norm, attention and row-wise operations follow, and the window's places are added to where
-- they came from. A window is a unit that cores part.

local layers = require "lower.layer"
local moves = require "graph.moves"
local projections = require "lower.projections"
local rows = require "lower.rows"
local tensor = require "msagen.tensor"

local input = layers.input

local nest = {}

-- The table's value for each pair of places, a row a query, of each head.
local function pairs_of(layer, op, ldb)
  local start, count = input(op, "table"), op.window * op.window
  local role = layer.parts:role(start)
  return layer.parts:other(role, function()
    layer.segment:rows(role, op.heads * count, count, ldb, function()
      local known, list, apart = layer.parts.tensor_of(start):totable(), {}, moves.distances(op.window)
      for h = 0, op.heads - 1 do
        for _, distance in ipairs(apart) do list[#list + 1] = known[h * count + distance + 1] end
      end
      return tensor.from(list, { op.heads * count, count }):rename(start.name)
    end, layer.parts.sources_of(start))
  end)
end

local function attend(layer, body, op, a, n, o, pool)
  local K, count, ldb = layer.K, op.window * op.window, layers.stride(op.window * op.window + 16)
  local start = layer.step:part(pairs_of(layer, op, ldb))
  local packed = K:keys { keys = count, d = a.d, row = op.window }
  local kernel, sizes = K:attend_table { keys = count, d = a.d, row = op.window, ldb = ldb, ldq = a.dpad,
    ldo = o.storage.stride }
  local q, k, v = pool:take("q", count * a.dpad, a.dpad), pool:take("k", count * a.dpad, a.dpad),
    pool:take("v", count * a.dpad, a.dpad)
  local kp, vp, s = pool:take("kp", packed.k), pool:take("vp", packed.v), pool:take("logits", sizes.s)
  local acc, stat = pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
  body:each({ variable = "h", to = op.heads }, function(head, h)
    for _, one in ipairs { { "q", q }, { "k", k }, { "v", v } } do
      projections.one(layer, head, a, one[1], h, count, n, one[2])
    end
    head:call(packed.place { count = count, k_stride = a.dpad }, 0, k, v, kp, vp)
    head:call(K:rows("scale", { rows = count, C = a.d, ldx = a.dpad, s = 1 / math.sqrt(a.d) }), q)
    head:call(kernel, q, kp, vp, start + h * (count * ldb), s, acc, stat, o + h * a.d)
  end)
end

-- A window between the grid and `here`. @param move function(body, place in here, place in the grid, elements)
-- @param beyond function(body, place in here, elements), or nil: what is done where the grid has ended
local function each_row(body, w, here, first, move, beyond)
  local side, ld, rest = w.side, here.storage.stride, w.width % w.side
  body:each({ variable = "r", to = side }, function(each, r)
    local to, from = here + r * (side * ld), first + r * (w.width * ld)
    local function columns(inner)
      local function whole(all) move(all, to, from, side * ld) end
      if rest == 0 then return whole(inner) end
      inner:when({ { w.left + side, "<=", w.width } }, whole, function(some)
        move(some, to, from, rest * ld)
        if beyond then beyond(some, to + rest * ld, (side - rest) * ld) end
      end)
    end
    if w.height % side == 0 then return columns(each) end
    each:when({ { w.top + r, "<", w.height } }, columns, beyond and function(none) beyond(none, to, side * ld) end)
  end)
end

-- The operations between attention and the gather that brings its windows back.
local function between(one, op, back)
  local before, list, ends = one:closure(op), {}, one:closure(input(back, "x"))
  for _, other in ipairs(one.ops) do
    if ends[other] and not before[other] then list[#list + 1] = other end
  end
  return list
end

function nest.windows(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "table_attention"
  local gathered, back, norm = one:op "gather", one:op("gather", 2), one:op "layernorm"
  local x, value, side = one.inputs[1], one.outputs[1], op.window
  local slices, height, width, C = table.unpack(value.shape)
  local from, ld, count = layer:buffer(x), layers.stride(C), side * side
  assert(layer:buffer(value).storage == from.storage, "a window is written where it was read")
  local a, pool = projections.of(layer, op, norm), step:pool()
  local across, down = (width + side - 1) // side, (height + side - 1) // side
  local here, n, o = pool:take("here", count * ld, ld), pool:take("n", count * ld, ld), pool:take("o", count * ld, ld)
  local after, result = between(one, op, back), pool:take("result", count * ld, ld)
  step:stage("units", function(body)
    body:each({ variable = "unit", to = slices * down * across, units = { name = "windows" } }, function(inner, unit)
      local w = { side = side, width = width, height = height,
        top = inner:let("top", unit // across % down * side), left = inner:let("left", unit % across * side) }
      local first = from + ((unit // (down * across) * height + w.top) * width + w.left) * ld
      each_row(inner, w, here, first, function(each, to, place, elements) each:copy(to, place, elements) end,
        function(each, to, elements) each:zero(to, elements) end)
      inner:call(layer.K:layernorm { rows = count, C = C, ldx = ld, ldy = ld, eps = norm.eps }, here,
        step:part(a.norm), n)
      attend(layer, inner, op, a, n, o, pool)
      local work = rows.new(layer, inner, pool, count, after)
      work:place(op, o, 0, true)
      work:bind(input(back, "x"), result)
      work:run()
      inner:call(layer.K:rows("add", { rows = count, C = C, ldx = ld, ldy = ld }), result, here)
      each_row(inner, w, here, first, function(each, to, place, elements) each:copy(place, to, elements) end)
    end)
  end)
  assert(gathered ~= back)
end

return { { name = "table_windows", lower = nest.windows, kind = function() return "encoder_attention" end,
  fits = function(one) return one:op "table_attention" ~= nil end } }

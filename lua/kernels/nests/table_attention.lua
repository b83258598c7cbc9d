-- SPDX-License-Identifier: Apache-2.0
--- Attention in windows whose logits start from a table, with what surrounds it: a window is gathered from the grid,
-- zeros beyond its edge; norm, attention and row-wise operations follow, and the window's places are added to where
-- they came from. A window is a unit that cores part.

local layers = require "lower.layer"
local projections = require "lower.projections"
local rows = require "lower.rows"
local tables = require "lower.tables"

local input = layers.input

local nest = {}

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
      tables.attend(layer, inner, op, a, n, o, pool)
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

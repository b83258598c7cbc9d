-- SPDX-License-Identifier: Apache-2.0
--- Row-wise operations, then a 3 x 3 convolution with zeros around, then row-wise ones: the first go to a bordered copy
-- of the grid, which the convolution reads as nine products on shifted rows, each a sum of its own: nine short sums
-- lose less than one long one.

local layers = require "lower.layer"
local rows = require "lower.rows"
local stream = require "schedule.pieces"
local operands = require "lower.operands"

local input = layers.input

local nest = {}

-- The same in lower precision: each tap is added where the last one left the sum.
local function lowered_taps(layer, body, conv, border, y, pool, out, from_tap, to_tap)
  local grid, w = conv.shape[2], input(conv, "w")
  for t = from_tap, to_tap do
    operands.product(conv.precision, layer.K, body, pool, grid,
      border + ((y + t // 3) * (grid + 2) + t % 3) * border:ld(),
      layer.step:part(layer.parts:tap(w, t, conv.precision)), out, { N = w.shape[1], K = w.shape[2],
        out = t == 0 and "first" or t == 8 and "last" or "next" })
  end
end

-- Products of a row of the grid, to `out`: those of taps from `from_tap` to `to_tap`, of nine.
local function taps(layer, body, conv, border, y, pool, product, out, from_tap, to_tap)
  if conv.precision then return lowered_taps(layer, body, conv, border, y, pool, out, from_tap, to_tap) end
  local grid, w = conv.shape[2], input(conv, "w")
  local cin, cout, ld = w.shape[2], w.shape[1], border.storage.stride
  local tap = layer.K:gemm { M = grid, N = cout, K = cin, lda = ld, ldc = out.storage.stride }
  local add = layer.K:rows("add", { rows = grid, C = cout, ldx = product.storage.stride, ldy = out.storage.stride })
  for t = from_tap, to_tap do
    local from = border + ((y + t // 3) * (grid + 2) + t % 3) * ld
    body:call(tap, from, layer.step:part(layer.parts:tap(w, t)), t == 0 and out or product)
    if t > 0 then body:call(add, product, out) end
  end
end

-- Row-wise operations on a row of the grid that all end in the same place.
local function on_row(layer, body, pool, ops, value, view, row)
  local work = rows.new(layer, body, pool, value.shape[3], ops)
  work:place(value, view, 0, true)
  for _, op in ipairs(ops) do work:bind(op, row) end
  work:run()
end

-- The same where weights come in pieces: the first product by its columns, the taps some at a time.
local function in_pieces(layer, n)
  local step, segment, parts, grid = layer.step, layer.segment, layer.parts, n.conv.shape[2]
  local first, w = n.before[1], input(n.before[1], "w")
  local cin = w.shape[2]
  local function each_row(build) step:stage("units", function(body) body:each(n.by_row, build) end) end
  segment:piece(true)
  for _, op in ipairs(layer.group.ops) do
    if op.kind == "layernorm" then parts:norm(input(op, "gamma"), input(op, "beta")) end
  end
  local columns, count, role = stream.columns(layer, w, cin, first.precision)
  local product = stream.product(layer, n.pool, grid, columns, cin, first.precision)
  step:around("column", count, function(column)
    step:fetch()
    each_row(function(body, y)
      product(body, n.from:row(y * grid), step:part(role), nil, n.row(y) + column * columns)
    end)
  end)
  each_row(function(body, y)
    on_row(layer, body, n.pool, table.move(n.before, 2, #n.before, 1, {}), first, n.row(y), n.row(y))
    n.finish_row(body, y)
  end)
  local width = n.conv.shape[#n.conv.shape]
  local taps_of = stream.group(9, function(t)
    return t * stream.weight_bytes(width, width, n.conv.precision)
  end, layer.limit)
  for tap = 0, 8, taps_of do
    segment:piece()
    step:fetch()
    each_row(function(body, y)
      taps(layer, body, n.conv, n.convolved, y, n.pool, n.product, n.to:row(y * grid), tap, tap + taps_of - 1)
    end)
  end
  each_row(function(body, y) on_row(layer, body, n.pool, n.after, n.conv, n.to:row(y * grid), n.to:row(y * grid)) end)
end

function nest.neck(layer)
  local one, step = layer.group, layer.step
  local conv, value, x = one:op "conv", one.outputs[1], one.inputs[1]
  local slices, grid = conv.shape[1], conv.shape[2]
  local first = one:closure(input(conv, "x"))
  local before, after = one:ordered(first), {}
  for _, op in ipairs(one.ops) do
    if op ~= conv and not first[op] then after[#after + 1] = op end
  end
  local width = conv.shape[#conv.shape]
  local ld, from, to = layers.stride(width), layer:buffer(x), layer:buffer(value)
  local border = step.shared:take("border", (grid + 2) * (grid + 2) * ld, ld)
  local pool = step:pool()
  local lowered = conv.precision
    and operands.over(conv.precision, layer.K, step.shared, "border_" .. conv.precision, border, width)
  local product = not lowered and pool:take("product", grid * ld, ld) or nil
  local by_row = { variable = "y", to = grid, units = { name = "rows" } }
  step:stage("zero", function(body) body:zero(border, (grid + 2) * (grid + 2) * ld) end)
  local function row_of(view, y) return (view + ((y + 1) * (grid + 2) + 1) * view:ld()):of_row(y) end
  local function row(y) return row_of(border, y) end
  -- What is convolved of a row that the operations before have left.
  local function finish_row(body, y)
    if lowered then
      operands.make(conv.precision, layer.K, body, grid, width, row(y), row_of(lowered, y))
    end
  end
  local result = { ops = { before = before, conv = conv, after = after }, E = width, lde = ld,
    C = x.shape[#x.shape], ldc = from.storage.stride }
  if layer.pieces then
    in_pieces(layer, { before = before, after = after, conv = conv, border = border, row = row, from = from, to = to,
      pool = pool, product = product, by_row = by_row, convolved = lowered or border, finish_row = finish_row })
    return result
  end
  step:around("slice", slices, function(slice)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        local work = rows.new(layer, inner, pool, grid, before)
        work:place(x, from:row((slice * grid + y) * grid), 0, false)
        for _, op in ipairs(before) do work:bind(op, row(y)) end
        work:run()
        finish_row(inner, y)
      end)
    end)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        local out = to:row((slice * grid + y) * grid)
        taps(layer, inner, conv, lowered or border, y, pool, product, out, 0, 8)
        on_row(layer, inner, pool, after, conv, out, out)
      end)
    end)
  end)
  return result
end

return { { name = "neck", lower = nest.neck, pieces = "images", kind = function() return "neck" end,
  fits = function(one)
    local op = one:op "conv"
    return op ~= nil and op.sums == "tap"
  end } }

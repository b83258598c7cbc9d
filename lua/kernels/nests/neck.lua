-- SPDX-License-Identifier: Apache-2.0
--- Row-wise operations, then a 3 x 3 convolution with zeros around, then row-wise ones: the first go to a bordered copy
-- of the grid, which the convolution reads as nine products on shifted rows, each a sum of its own: nine short sums
-- lose less than one long one.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local rows = require "lower.rows"
local stream = require "schedule.pieces"

local input = layers.input

local nest = {}

-- Products of a row of the grid, to `out`: those of taps from `from_tap` to `to_tap`, of nine.
local function taps(layer, body, conv, border, y, product, out, from_tap, to_tap)
  local grid, w = conv.shape[2], input(conv, "w")
  local cin, cout, ld = w.shape[2], w.shape[1], border.storage.stride
  local role = layer.parts:role(w)
  local tap = layer.K:gemm { M = grid, N = cout, K = cin, lda = ld, ldc = out.storage.stride }
  local add = layer.K:rows("add", { rows = grid, C = cout, ldx = product.storage.stride, ldy = out.storage.stride })
  for t = from_tap, to_tap do
    local part = layer.parts:other(("%s_%d"):format(role, t), function()
      layer.segment:panels(("%s_%d"):format(role, t), cin, cout, function()
        return layer.parts.tensor_of(w):slice(3, t // 3, 1):slice(4, t % 3, 1):reshape { cout, cin }:transpose()
          :rename(w.name)
      end, layer.parts.sources_of(w))
    end)
    local from = border + ((y + t // 3) * (grid + 2) + t % 3) * ld
    body:call(tap, from, layer.step:part(part), t == 0 and out or product)
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
  local step, segment, parts, grid, K = layer.step, layer.segment, layer.parts, n.conv.shape[2], layer.K
  local first, w = n.before[1], input(n.before[1], "w")
  local cin, ld, ldx = w.shape[2], n.border.storage.stride, n.from.storage.stride
  local function each_row(build) step:stage("units", function(body) body:each(n.by_row, build) end) end
  segment:piece(true)
  for _, op in ipairs(layer.group.ops) do
    if op.kind == "layernorm" then parts:norm(input(op, "gamma"), input(op, "beta")) end
  end
  local columns, count, role = stream.columns(layer, w, cin)
  local name = K:gemm { M = grid, N = columns, K = cin, lda = ldx, ldc = ld }
  step:around("column", count, function(column)
    step:fetch()
    each_row(function(body, y) body:call(name, n.from:row(y * grid), step:part(role), n.row(y) + column * columns) end)
  end)
  each_row(function(body, y)
    on_row(layer, body, n.pool, table.move(n.before, 2, #n.before, 1, {}), first, n.row(y), n.row(y))
  end)
  local width = n.conv.shape[#n.conv.shape]
  local taps_of = stream.group(9, function(t) return t * width * kernels.round16(width) end, layer.limit)
  for tap = 0, 8, taps_of do
    segment:piece()
    step:fetch()
    each_row(function(body, y)
      taps(layer, body, n.conv, n.border, y, n.product, n.to:row(y * grid), tap, tap + taps_of - 1)
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
  local product = pool:take("product", grid * ld, ld)
  local by_row = { variable = "y", to = grid, units = { name = "rows" } }
  step:stage("zero", function(body) body:zero(border, (grid + 2) * (grid + 2) * ld) end)
  local function row(y) return (border + ((y + 1) * (grid + 2) + 1) * ld):of_row(y) end
  local result = { ops = { before = before, conv = conv, after = after }, E = width, lde = ld,
    C = x.shape[#x.shape], ldc = from.storage.stride }
  if layer.pieces then
    in_pieces(layer, { before = before, after = after, conv = conv, border = border, row = row, from = from, to = to,
      pool = pool, product = product, by_row = by_row })
    return result
  end
  step:around("slice", slices, function(slice)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        local work = rows.new(layer, inner, pool, grid, before)
        work:place(x, from:row((slice * grid + y) * grid), 0, false)
        for _, op in ipairs(before) do work:bind(op, row(y)) end
        work:run()
      end)
    end)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        local out = to:row((slice * grid + y) * grid)
        taps(layer, inner, conv, border, y, product, out, 0, 8)
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

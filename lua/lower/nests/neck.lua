-- SPDX-License-Identifier: Apache-2.0
--- Row-wise operations, then a 3 x 3 convolution with zeros around, then row-wise ones: the first go to a bordered copy of
-- the grid, which the convolution reads as nine products on shifted rows, each a sum of its own: nine short sums lose less
-- than one long one.

local layers = require "lower.layer"
local rows = require "lower.rows"

local input, rows_of = layers.input, layers.rows_of

local nest = {}

-- The nine products of a row of the grid, to `out`.
local function taps(layer, body, conv, border, y, product, out)
  local grid, w = layer.model.grid, input(conv, "w")
  local cin, cout, ld = w.shape[2], w.shape[1], border.storage.stride
  local role = layer.parts:role(w)
  local tap = layer.K:gemm { M = grid, N = cout, K = cin, lda = ld, ldc = out.storage.stride }
  local add = layer.K:rows("add", { rows = grid, C = cout, ldx = product.storage.stride, ldy = out.storage.stride })
  for t = 0, 8 do
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

function nest.neck(layer)
  local one, step, ctx = layer.group, layer.step, layer.ctx
  local conv, value, x = one:op "conv", one.outputs[1], one.inputs[1]
  local grid, slices = ctx.model.grid, ctx.model.depth
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
  step:around("slice", slices, function(slice)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        local work = rows.new(layer, inner, pool, grid, before)
        local row = border + ((y + 1) * (grid + 2) + 1) * ld
        work:place(x, from:row((slice * grid + y) * grid), 0, false)
        for _, op in ipairs(before) do work:bind(op, row) end
        work:run()
      end)
    end)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        local row = to:row((slice * grid + y) * grid)
        taps(layer, inner, conv, border, y, product, row)
        local work = rows.new(layer, inner, pool, grid, after)
        work:place(conv, row, 0, true)
        for _, op in ipairs(after) do work:bind(op, row) end
        work:run()
      end)
    end)
  end)
  assert(rows_of(value) == slices * grid * grid)
  return { E = width, lde = ld, ldc = from.storage.stride }
end

return nest

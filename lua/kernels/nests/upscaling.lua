-- SPDX-License-Identifier: Apache-2.0
--- The decoder's map at twice its side, where a norm over all of it comes before the masks: the map is there as a
-- whole, a line after the other.

local layers = require "lower.layer"
local rows = require "lower.rows"
local operands = require "lower.operands"

local input, stride = layers.input, layers.stride

local nest = {}

--- A row of the grid of tokens at a time: four products, each to every second place of one of two lines.
function nest.upscaling(layer)
  local one, step, K = layer.group, layer.step, layer.K
  local op = one:op "conv_transpose"
  local w, bias, from, to = input(op, "w"), input(op, "bias"), layer:buffer(one.inputs[1]),
    layer:buffer(one.outputs[1])
  local cin, cout, grid, ld = w.shape[1], w.shape[2], layer.model.grid, to.storage.stride
  local added, pool = step:part(layer.parts:vector(bias)), step:pool()
  local precision = op.precision
  local lowered = precision and operands.take(precision, K, pool, "whole", grid, cin)
  local function product(body, x, sub, y)
    local panels = step:part(layer.parts:place(w, sub, precision))
    if lowered then
      return operands.product(precision, K, body, pool, grid, lowered, panels, y, { N = cout, K = cin, bias = added,
        ldc = 2 * ld })
    end
    body:call(K:gemm { M = grid, N = cout, K = cin, lda = from.storage.stride, ldc = 2 * ld, init = "bias" }, x,
      panels, added, y)
  end
  step:stage("units", function(body)
    body:each({ variable = "y", to = grid, units = { name = "rows" } }, function(inner, y)
      if lowered then operands.make(precision, K, inner, grid, cin, from:row(y * grid), lowered) end
      for sub = 0, 3 do
        product(inner, from:row(y * grid), sub, to:row((y * 2 + sub // 2) * (2 * grid)) + sub % 2 * ld)
      end
    end)
  end)
end

-- Two moments of the map, each from the sums of its lines. @return views of mean and deviation
local function moments(layer, op, x, lines)
  local step, K, C = layer.step, layer.K, op.shape[4]
  local pool, ld, places = step.shared, x.storage.stride, op.shape[3]
  local function moment(name, mean, eps)
    local sums, to = pool:take(name .. "_sums", lines), pool:take(name, 16)
    local kernel = K:line_sum { rows = places, C = C, ldx = ld, squares = mean ~= nil }
    step:stage("units", function(body)
      body:each({ variable = "y", to = lines, units = { name = "lines" } }, function(inner, y)
        local from, sum = x:row(y * places), sums:of_row(y) + y
        if mean then inner:call(kernel, from, mean, sum) else inner:call(kernel, from, sum) end
      end)
    end)
    step:stage("zero", function(body)
      body:call(K:map_moment { lines = lines, values = lines * places * C, eps = eps }, sums, to)
    end)
    return to
  end
  local mean = moment("mean")
  return mean, moment("deviation", mean, op.eps)
end

--- From the map to logits of masks, a line of it at a time: each place becomes 2 x 2 pixels.
function nest.masks(layer)
  local one, step, grid = layer.group, layer.step, layer.model.grid
  local norm, product = one:op "mapnorm", one:op "permute"
  local x, lines, places = layer:buffer(input(norm, "x")), 2 * grid, 2 * grid
  local value = input(product, "x")
  local out, masks = layer:buffer(one.outputs[1]), value.shape[4]
  local ops = one:ordered(one:closure(value))
  local mean, deviation = moments(layer, norm, x, lines)
  local pool = step:pool()
  step:stage("units", function(body)
    body:each({ variable = "y", to = lines, units = { name = "lines" } }, function(inner, y)
      local work = rows.new(layer, inner, pool, places, ops)
      work.moments = { mean = mean, deviation = deviation }
      for _, from in ipairs(one.inputs) do
        work:place(from, from.kind == "concat" and layer:buffer(from) or x:row(y * places), 0, false)
      end
      work:run()
      local products = work.views[value]
      inner:each({ variable = "i", to = places * 4 }, function(each, i)
        local pixel = each:let("pixel", (y * 2 + i % 4 // 2) * (4 * grid) + i // 4 * 2 + i % 2)
        each:each({ variable = "m", to = masks }, function(each_mask, m)
          each_mask:assign(out + m * (16 * grid * grid) + pixel, products + i * products.storage.stride + m)
        end)
      end)
    end)
  end)
end

return {
  { name = "upscaling", lower = nest.upscaling, kind = function() return "upscaling" end,
    fits = function(one) return one:op "conv_transpose" ~= nil and one:op "permute" == nil end },
  { name = "map_masks", lower = nest.masks, kind = function() return "masks" end,
    fits = function(one) return one:op "mapnorm" ~= nil end },
}

-- SPDX-License-Identifier: Apache-2.0
--- Layers that work row by row: a strip of tokens at a time, so that what is wide is never there for more than a strip.

local layers = require "lower.layer"
local rows = require "lower.rows"
local stream = require "schedule.pieces"
local token_rows = require "lower.token_rows"

local input, rows_of = layers.input, layers.rows_of

local nest = {}

-- Places of what the operations take and leave, at a row of the strip's.
local function places(layer, work, row)
  for _, value in ipairs(layer.group.inputs) do
    work:place(value, layer:buffer(value):row(row), 0, layer:gives_up(value))
  end
  for _, value in ipairs(layer.group.outputs) do work:bind(value, layer:buffer(value):row(row)) end
end

--- An encoder block's MLP: a proc on a strip of tokens.
function nest.strips(layer)
  local ctx, step, value = layer.ctx, layer.step, layer.group.outputs[1]
  local count, strip = rows_of(value), ctx.strip_of(value)
  local by_strip = { variable = "t", to = count, by = strip, units = { name = "tokens" } }
  if layer.pieces then
    stream.pair(layer, count, strip, function(build)
      step:stage("units", function(body) body:each(by_strip, build) end)
    end)
    return { rows = strip, C = value.shape[#value.shape], ldc = layer:buffer(value).storage.stride }
  end
  local pool = step:pool(true)
  local buffer = layer:buffer(value)
  local hidden = 0
  for _, op in ipairs(layer.group.ops) do hidden = math.max(hidden, op.shape[#op.shape]) end
  local base = ("msa_mlp_%dx%dx%d"):format(strip, value.shape[#value.shape], hidden)
  local proc = step:proc(base, ("x += MLP of x's norm, %d tokens."):format(strip), function(proc, body)
    local x = proc:pointer(buffer.storage.name, buffer)
    local work = rows.new(layer, body, pool, strip, layer.group.ops)
    work:place(layer.group.inputs[1], x, 0, true)
    work:bind(value, x)
    work:run()
  end)
  step:stage("units", function(body)
    body:each(by_strip, function(inner, t)
      inner:run(proc, buffer:row(t))
    end)
  end)
  return { strip = proc, rows = strip, C = value.shape[#value.shape], ldc = buffer.storage.stride }
end

--- An MLP on the prompt's tokens, a chunk of them at a time as far as they go.
function nest.counted(layer)
  local ctx, step = layer.ctx, layer.step
  local chunks = { variable = "i", to = ctx.token_rows, by = ctx.token_chunk, counted = true }
  if layer.pieces then
    stream.pair(layer, ctx.token_rows, ctx.token_chunk, function(build)
      step:stage("zero", function(body) body:each(chunks, build) end)
    end)
    return { chunk = ctx.token_chunk }
  end
  token_rows.run(layer, layer.group.ops, function(work, i) places(layer, work, i) end)
  return { chunk = ctx.token_chunk }
end

--- The image's side of a prompt: through the mask's convolutions where there is a mask.
-- @param mask the value that is the mask, whose pixels are 4 x 4 a token @return views of embedding and mask
function nest.select(layer)
  local ctx, step, one = layer.ctx, layer.step, layer.group
  local choice = one:op "select"
  local with, without = one:ordered(one:closure(input(choice, "a"))), one:ordered(one:closure(input(choice, "b")))
  local mask, embedding
  for _, value in ipairs(one.inputs) do
    if value.name == choice.given then mask = value else embedding = value end
  end
  local side, grid, strip = mask.shape[2], ctx.model.grid, ctx.strip_rows
  local from = layer:given(embedding)
  local pixels = step:parameter("const float *mask", "mask", side)
  local keys, pool = layer:buffer(choice), step:pool()
  local function branch(body, t, ops, result)
    local work = rows.new(layer, body, pool, strip, ops)
    work:place(embedding, from:row(t), 0, false)
    work:place(mask, pixels, 2, false)
    work:bind(result, keys:row(t))
    work.raster = mask
    -- The pixels of a token, four and four, to a row each.
    function work.gather(to_body, joined, count)
      to_body:each({ variable = "i", to = count }, function(inner, i)
        local token, sub = t + i // 4, i % 4
        local y = inner:let("y", token // grid * 4 + sub // 2 * 2)
        local x = inner:let("x", token % grid * 4 + sub % 2 * 2)
        for p = 0, 3 do
          inner:assign(joined + i * joined.storage.stride + p, pixels + (y + p // 2) * side + x + p % 2)
        end
      end)
    end
    work:run()
  end
  step:stage("units", function(body)
    body:each({ variable = "t", to = grid * grid, by = strip, units = { name = "tokens" } }, function(inner, t)
      inner:when("mask == NULL", function(plain) branch(plain, t, without, input(choice, "b")) end,
        function(masked) branch(masked, t, with, input(choice, "a")) end)
    end)
  end)
  return { rows = strip }
end

--- From image tokens to logits of masks: each token becomes 4 x 4 pixels, which never are there for more than a strip.
function nest.masks(layer)
  local ctx, step, one = layer.ctx, layer.step, layer.group
  local grid, strip, pool = ctx.model.grid, ctx.strip_rows, step:pool()
  local product = one:op "permute"
  local value = input(product, "x")
  local out, masks = layer:buffer(one.outputs[1]), value.shape[4]
  local ops = one:ordered(one:closure(value))
  step:stage("units", function(body)
    body:each({ variable = "t", to = grid * grid, by = strip, units = { name = "tokens" } }, function(inner, t)
      local work = rows.new(layer, inner, pool, strip, ops)
      for _, from in ipairs(one.inputs) do
        local view = layer:buffer(from)
        work:place(from, from.kind == "concat" and view or view:row(t), 0, false)
      end
      work:run()
      local products = work.views[value]
      inner:each({ variable = "i", to = strip * 16 }, function(rows_body, i)
        local token = rows_body:let("token", t + i // 16)
        local y = token // grid * 4 + i % 16 // 8 * 2 + i % 4 // 2
        local x = token % grid * 4 + i % 8 // 4 * 2 + i % 2
        local pixel = rows_body:let("pixel", y * (4 * grid) + x)
        rows_body:each({ variable = "m", to = masks }, function(each_mask, m)
          each_mask:assign(out + m * (16 * grid * grid) + pixel, products + i * products.storage.stride + m)
        end)
      end)
    end)
  end)
  return { strip = strip }
end

-- Operations that give each row from the same row of what they take.
local BY_ROW = { add = true, act = true, layernorm = true, linear = true, reshape = true }

local function by_row(one)
  for _, op in ipairs(one.ops) do
    if not BY_ROW[op.kind] then return false end
  end
  return true
end

return {
  { name = "select", lower = nest.select, kind = function() return "dense_prompt" end,
    fits = function(one) return one:op "select" ~= nil end },
  { name = "masks", lower = nest.masks, kind = function() return "masks" end,
    fits = function(one) return one:op "conv_transpose" ~= nil and one:op "permute" ~= nil
      and one:op "mapnorm" == nil end },
  { name = "counted", lower = nest.counted, pieces = true, kind = function() return "token_mlp" end,
    fits = function(one) return by_row(one) and one.outputs[1].counted end },
  { name = "strips", lower = nest.strips, pieces = true, kind = function() return "encoder_mlp" end,
    fits = function(one) return by_row(one) and not one.outputs[1].counted end },
}

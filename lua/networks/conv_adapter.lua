-- SPDX-License-Identifier: Apache-2.0
--- SAM-Med2D's adapter (Cheng et al. 2023), beside a block's MLP: what the mean of all tokens says scales each channel;
-- then a convolution to half the grid's side, a transposed one back, and a norm of the sum.

local deferred = require "import.deferred"

local EPS = 1e-5

local adapter = {}

--- Declare it. @param width of the tokens
function adapter.declare(p, width)
  local at = p:at "Adapter"
  local squeezed = p:size("squeezed", p.walk.known and width // 4)
  local a = { squeeze = { weight = at:tensor("channel.0.weight", squeezed, width) },
    excite = { weight = at:tensor("channel.2.weight", width, squeezed) },
    narrow = at:tensor("spatial.0.weight", width, width, 3, 3),
    widen = at:tensor("spatial.2.weight", width, width, 4, 4) }
  a.norm = at:norm("norm", width, EPS)
  return a
end

local function relu(t, x) return t.g:act(x, { f = "relu" }) end

-- A convolution: places outside, channels inside.
local function convolution(t, x, declaration, stride)
  local w = t:parameter(declaration).tensor
  local C, side = w.shape[1], w.shape[3]
  local shape, weight = { C, side * side * w.shape[2] }, nil
  if t:trains(declaration) then
    weight = t.g:reshape(t.g:permute(t:parameter(declaration), { order = { 1, 3, 4, 2 } }), { to = shape })
  else
    weight = t.g:constant(declaration.name, shape, function() return w:permute { 1, 3, 4, 2 }:reshape(shape) end,
      deferred.sources(w))
  end
  return t.g:linear(t.g:unfold(x, { side = side, stride = stride }), weight)
end

-- The weight of what follows, of one that trains. @param at function(place, odd) -> place of the 4 x 4
local function live_transposed(t, declaration, at)
  local w = t:parameter(declaration)
  local inputs, outputs, index = w.shape[1], w.shape[2], {}
  for kind = 0, 3 do
    for o = 0, outputs - 1 do
      for tap = 0, 3 do
        index[#index + 1] = (at(tap // 2, kind // 2) * 4 + at(tap % 2, kind % 2)) * outputs + o
      end
    end
  end
  local places = t.g:permute(w, { order = { 3, 4, 2, 1 } })
  local rows = t.g:gather(places, nil, { index = function() return index end, to = { 16 * outputs, inputs } })
  return t.g:reshape(rows, { to = { 4 * outputs, 4 * inputs } })
end

-- A transposed convolution of 4 x 4, 2 apart, 1 of padding: w [inputs,outputs,4,4]. A pixel of the result is made of
-- 2 x 2 of x, of which those of the four kinds of pixels (even or odd row and column) have places of the 4 x 4 of their
-- own: 3 and 1 of a row or column that is even, 2 and 0 of one that is odd.
local function transposed(t, x, declaration)
  local w = t:parameter(declaration).tensor
  local inputs, outputs = w.shape[1], w.shape[2]
  local function at(place, odd) return odd == 0 and 3 - 2 * place or 2 - 2 * place end
  if t:trains(declaration) then
    return t.g:linear(t.g:unfold(x, { side = 2, stride = 1 }), live_transposed(t, declaration, at))
  end
  local weight = t.g:constant(declaration.name, { 4 * outputs, 4 * inputs }, function()
    local rows = {}
    for kind = 0, 3 do
      local taps = {}
      for tap = 0, 3 do
        taps[tap + 1] = w:slice(3, at(tap // 2, kind // 2), 1):slice(4, at(tap % 2, kind % 2), 1)
          :reshape { inputs, outputs }:transpose():totable()
      end
      for o = 0, outputs - 1 do
        for tap = 1, 4 do table.move(taps[tap], o * inputs + 1, (o + 1) * inputs, #rows + 1, rows) end
      end
    end
    return require "msagen.tensor".from(rows, { 4 * outputs, 4 * inputs })
  end, deferred.sources(w))
  return t.g:linear(t.g:unfold(x, { side = 2, stride = 1 }), weight)
end

--- What is made before the block's MLP takes the place of its input: the norm of x, and what the convolutions give.
-- @param prefix of the layers' names
function adapter.begin(t, a, x, norm, prefix)
  local g = t.g
  g:layer(prefix .. "gate")
  local n = g:named("normed", t:norm(x, norm))
  local gate = g:act(t:linear(relu(t, t:linear(g:column_mean(n), a.squeeze)), a.excite), { f = "sigmoid" })
  local gated = g:named("gated", g:multiply(n, gate))
  g:layer(prefix .. "narrow")
  local small = g:named("narrowed", relu(t, convolution(t, gated, a.narrow, 2)))
  g:layer(prefix .. "widen")
  return { n = n, wide = g:named("widened", relu(t, transposed(t, small, a.widen))) }
end

--- x, after the MLP, plus what the adapter gives.
function adapter.finish(t, a, x, begun, prefix)
  local g = t.g
  g:layer(prefix .. "adapter")
  return g:named("x", g:add(x, t:norm(g:add(begun.n, g:interleave(begun.wide)), a.norm)))
end

return adapter

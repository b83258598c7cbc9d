-- SPDX-License-Identifier: Apache-2.0
--- MAE on SAM's grid: all places stay, those removed being a mask token before the positions; SAM's blocks as they are,
-- windows and relative positions among them; a linear map gives the pixels.

local choices = require "train.choices"
local mae = require "train.objectives.mae"

local grid = { prefix = mae.prefix, loss = mae.loss, sizes = { ratio = mae.sizes.ratio }, optimiser = mae.optimiser,
  rate = mae.rate, schedule = mae.schedule, warm_up_epochs = mae.warm_up_epochs,
  check = mae.check_ratio }

local EPS = 1e-6

--- As objectives/mae.lua's.
function grid.declare(p, m)
  local C = m.encoder.dim
  return { mask_token = p:tensor("mask_token", 1, 1, C), norm = p:norm("norm", C, EPS),
    pred = p:linear("pred", 3 * m.patch * m.patch, C) }
end

--- The prediction [places,3 patch^2]. Inputs beside patches: index [places,1], each place's own number, or that of all
-- where it was removed.
function grid.compute(t, e, h, m, _, parts)
  local g, places, C = t.g, m.grid * m.grid, m.encoder.dim
  g:layer "patch_embed"
  local x = g:reshape(parts.patches(t, e, "patches"), { to = { places, C } })
  x = g:concat { x, g:reshape(t:parameter(h.mask_token), { to = { 1, C } }) }
  x = g:add(g:pick(x, g:input("index", { places, 1 })), parts.positions(t, e))
  x = parts.blocks(t, e, g:reshape(x, { to = { 1, m.grid, m.grid, C } }))
  g:layer "mae_pixels"
  return t:linear(t:norm(g:reshape(x, { to = { places, C } }), h.norm), h.pred)
end

function grid.chosen(removed)
  local index = {}
  for place, is_removed in ipairs(removed) do index[place] = is_removed and #removed or place - 1 end
  return { index = index, marked = removed }
end

function grid.choose(key, m, sizes)
  local _, removed = choices.masked(key, m.grid * m.grid, sizes.ratio)
  return grid.chosen(removed)
end

return grid

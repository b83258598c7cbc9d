-- SPDX-License-Identifier: Apache-2.0
--- ShED (Tamkin et al. 2021): some places have each other's embeddings; a linear map of each token tells which.

local choices = require "train.choices"

local shed = { prefix = "pretrain.shed.", loss = "moved" }

--- The share of places that are moved.
shed.sizes = { rate = 0.15 }

shed.optimiser = { kind = "adamw", betas = { 0.9, 0.999 }, eps = 1e-8, decay = 1e-4, decay_on = "all" }

function shed.rate() return 1e-4 end
shed.schedule, shed.warm_up_epochs = "constant", 0

--- As objectives/mae.lua's.
function shed.declare(p, m) return { predictor = p:linear("predictor", 2, m.encoder.dim) } end

--- The prediction [places,2]: not moved, moved. Inputs beside patches: index [places,1], whose embedding each has.
function shed.compute(t, e, h, m, _, parts)
  local g, places, C = t.g, m.grid * m.grid, m.encoder.dim
  g:layer "patch_embed"
  local x = g:reshape(parts.patches(t, e, "patches"), { to = { places, C } })
  x = g:add(g:pick(x, g:input("index", { places, 1 })), parts.positions(t, e))
  x = parts.blocks(t, e, g:reshape(x, { to = { 1, m.grid, m.grid, C } }))
  g:layer "shed_head"
  return t:linear(g:reshape(x, { to = { places, C } }), h.predictor)
end

--- What a picture's pass is given. @param from of each place the one whose embedding it has, from 0 @param moved of
-- each whether that is another
function shed.chosen(from, moved) return { index = from, marked = moved } end

function shed.choose(key, m, sizes) return shed.chosen(choices.moved(key, m.grid * m.grid, sizes.rate)) end

return shed

-- SPDX-License-Identifier: Apache-2.0
--- e-Mix (Tamkin et al. 2021): the embeddings of two pictures are mixed, and features of the mixture should tell, among
-- those of all pictures of a batch, the two. The loss is of the whole batch: features of all are made first, without
-- gradients; then each pass is done again and goes back. No gradient passes to the picture that is mixed in.

local shed = require "train.objectives.shed"

local emix = { prefix = "pretrain.emix.", loss = "mixture", pairs = true, optimiser = shed.optimiser, rate = shed.rate,
  schedule = shed.schedule, warm_up_epochs = shed.warm_up_epochs }

--- Width of features; what similarities are divided by.
emix.sizes = { dim = 128, temperature = 0.2 }

local EPS = 1e-5

--- As objectives/mae.lua's.
function emix.declare(p, m, sizes)
  return { norm = p:norm("norm", m.encoder.dim, EPS), proj = p:linear("proj", sizes.dim, m.encoder.dim) }
end

--- The features [1,dim]. Inputs beside patches: partner_patches, the other picture's; shares [1,2], of the picture and
-- of the other.
function emix.compute(t, e, h, m, _, parts)
  local g, places, C = t.g, m.grid * m.grid, m.encoder.dim
  g:layer "patch_embed"
  local x, other = parts.patches(t, e, "patches"), parts.patches(t, e, "partner_patches")
  x = g:reshape(g:mix(x, other, g:input("shares", { 1, 2 })), { to = { places, C } })
  x = parts.blocks(t, e, g:reshape(g:add(x, parts.positions(t, e)), { to = { 1, m.grid, m.grid, C } }))
  g:layer "emix_head"
  local mean = g:scale(g:column_sum(g:reshape(x, { to = { places, C } })), { s = 1 / places })
  return t:linear(t:norm(mean, h.norm), h.proj)
end

--- What the pass of a mixture is given, and that of a picture alone. @param share of the picture itself @param partner
-- the other picture
function emix.mixture(share, partner)
  local own = string.unpack("<f", string.pack("<f", share))
  local other = string.unpack("<f", string.pack("<f", 1 - share))
  return { shares = { own, other }, partner = partner }
end

return emix

-- SPDX-License-Identifier: Apache-2.0
--- MAE (He et al. 2022) on SAM's tensors: the encoder sees the patches that are kept, all of them each other, without
-- windows, relative positions or a class token; a decoder sees all places and gives the pixels of those removed.

local choices = require "train.choices"
local fail = require "support.fail"
local sines = require "train.objectives.sines"

local mae = { prefix = "pretrain.mae.", loss = "reconstruction" }

--- Sizes where nobody says anything: width, heads and blocks of the decoder; the share of patches that is removed.
mae.sizes = { dim = 512, heads = 16, depth = 8, ratio = 0.75 }

mae.optimiser = { kind = "adamw", betas = { 0.9, 0.95 }, eps = 1e-8, decay = 0.05, decay_on = "matrices" }

--- The learning rate of a batch; a cosine after so many epochs of warm-up.
function mae.rate(batch) return 1.5e-4 * batch / 256 end
mae.schedule, mae.warm_up_epochs = "cosine", 40

local EPS = 1e-6

local function block(p, dim)
  local b = { norm1 = p:norm("norm1", dim, EPS) }
  b.qkv = p:linear("attn.qkv", 3 * dim, dim)
  b.proj = p:linear("attn.proj", dim, dim)
  b.norm2 = p:norm("norm2", dim, EPS)
  b.lin1 = p:linear("mlp.fc1", 4 * dim, dim)
  b.lin2 = p:linear("mlp.fc2", dim, 4 * dim)
  return b
end

--- Refuse sizes that are none.
function mae.check(m, sizes)
  if sizes.dim % 4 ~= 0 then fail("--mae-width %d: expected a multiple of 4, found another", sizes.dim) end
  if sizes.dim % sizes.heads ~= 0 then
    fail("--mae-heads %d: expected a divisor of the decoder's width, %d, found another", sizes.heads, sizes.dim)
  end
  mae.check_ratio(m, sizes)
end

--- Refuse a share that leaves none of the patches, or takes none.
function mae.check_ratio(m, sizes)
  local places, kept = m.grid * m.grid, mae.kept(m, sizes)
  if kept < 1 or kept >= places then
    fail("--mask-ratio %g: expected a share of %d patches that leaves and removes at least one, found another",
      sizes.ratio, places)
  end
end

--- Declare the head. @param p networks/parameters.lua, at the prefix @param m the model description @param sizes as
-- above @return its parameters
function mae.declare(p, m, sizes)
  local C, dim = m.encoder.dim, sizes.dim
  local h = { norm = p:norm("norm", C, EPS), embed = p:linear("decoder_embed", dim, C),
    mask_token = p:tensor("mask_token", 1, 1, dim), blocks = {} }
  for i = 0, sizes.depth - 1 do h.blocks[i + 1] = block(p:at("decoder_blocks." .. i), dim) end
  h.decoder_norm = p:norm("decoder_norm", dim, EPS)
  h.pred = p:linear("decoder_pred", 3 * m.patch * m.patch, dim)
  return h
end

--- How many patches are kept.
function mae.kept(m, sizes) return math.tointeger(math.floor(m.grid * m.grid * (1 - sizes.ratio))) end

--- The prediction [places,3 patch^2]. Inputs beside patches: index [kept,1], the places that are kept; back [places,1],
-- of each place its row among these, or their number where it was removed.
function mae.compute(t, e, h, m, sizes, parts)
  local g, places, C, kept = t.g, m.grid * m.grid, m.encoder.dim, mae.kept(m, sizes)
  g:layer "patch_embed"
  local x = g:reshape(parts.patches(t, e, "patches"), { to = { places, C } })
  x = g:pick(g:add(x, parts.positions(t, e)), g:input("index", { kept, 1 }))
  x = parts.blocks(t, e, x, { heads = m.encoder.heads })
  g:layer "mae_embed"
  local y = t:linear(t:norm(x, h.norm), h.embed)
  local token = g:reshape(t:parameter(h.mask_token), { to = { 1, sizes.dim } })
  y = g:pick(g:concat { y, token }, g:input("back", { places, 1 }))
  y = g:add(y, g:constant("pretrain.mae.decoder_pos", { places, sizes.dim }, function()
    return sines.of(m.grid, sizes.dim)
  end, {}))
  for i, b in ipairs(h.blocks) do
    y = parts.block(t, b, ("mae_%02d_"):format(i - 1), i - 1, y, { heads = sizes.heads })
  end
  g:layer "mae_pixels"
  return t:linear(t:norm(y, h.decoder_norm), h.pred)
end

--- What a picture's pass is given, of the patches that are removed.
-- @param removed list of booleans, a place each
function mae.chosen(removed)
  local index, back, count = {}, {}, 0
  for place, is_removed in ipairs(removed) do
    if not is_removed then
      index[#index + 1], back[place], count = place - 1, count, count + 1
    end
  end
  for place in ipairs(removed) do back[place] = back[place] or count end
  return { index = index, back = back, marked = removed }
end

--- The same, at random. @param key { seed, step, image }
function mae.choose(key, m, sizes)
  local _, removed = choices.masked(key, m.grid * m.grid, sizes.ratio)
  return mae.chosen(removed)
end

return mae

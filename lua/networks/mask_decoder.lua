-- SPDX-License-Identifier: Apache-2.0
--- SAM's mask decoder (Kirillov et al. 2023): a two-way transformer between tokens and image, up-sampling, a
-- hypernetwork a mask;
-- with the decoder's adapters of Wu et al. 2023, which the first layer alone has.

local adapter = require "networks.adapter"
local segment = require "lower.segment"

local EPS, UPSCALING_EPS = 1e-5, 1e-6 -- EPS also of the layers, unless a program has another, and of a norm of the map

local function attention(p, name, inner, width)
  local at, a = p:at(name), {}
  for _, part in ipairs { "q", "k", "v" } do a[part] = at:linear(part .. "_proj", inner, width) end
  a.out = at:linear("out_proj", width, inner)
  return a
end

local function layer(p, n, k)
  local s, l, eps = n.sizes, {}, n.decoder_norm_eps or EPS
  l.self_attention = attention(p, "self_attn", s.out, s.out)
  l.norm1 = p:norm("norm1", s.out, eps)
  l.token_to_image = attention(p, "cross_attn_token_to_image", s.cross, s.out)
  l.norm2 = p:norm("norm2", s.out, eps)
  l.lin1 = p:linear("mlp.lin1", s.decoder_mlp, s.out)
  l.lin2 = p:linear("mlp.lin2", s.out, s.decoder_mlp)
  l.norm3 = p:norm("norm3", s.out, eps)
  l.norm4 = p:norm("norm4", s.out, eps)
  l.image_to_token = attention(p, "cross_attn_image_to_token", s.cross, s.out)
  if k == 0 and n.decoder_adapters then
    l.prompt_adapter = adapter.declare(p, "Prompt_Adapter", s.out, "D_fcp")
    l.mlp_adapter = adapter.declare(p, "MLP_Adapter", s.out)
    l.image_adapter = adapter.declare(p, "Image_Adapter", s.out)
  end
  return l
end

-- A perceptron of so many layers, `inner` wide between.
local function perceptron(p, layers, input, inner, output)
  local list = {}
  for l = 0, layers - 1 do
    list[l + 1] = p:linear("layers." .. l, l == layers - 1 and output or inner, l == 0 and input or inner)
  end
  return list
end

local mask_decoder = {}

--- Declare the mask decoder's tensors. @param n the network: networks/sam.lua @return its parameters
function mask_decoder.declare(p, n)
  local s, decoder, transformer = n.sizes, { layers = {}, hyper = {} }, p:at "transformer"
  for k = 0, n.layers - 1 do decoder.layers[k + 1] = layer(transformer:at("layers." .. k), n, k) end
  decoder.final = attention(transformer, "final_attn_token_to_image", s.cross, s.out)
  decoder.norm_final = transformer:norm("norm_final_attn", s.out, EPS)
  decoder.iou_token = p:tensor("iou_token.weight", 1, s.out)
  decoder.mask_tokens = p:tensor("mask_tokens.weight", s.masks, s.out)
  -- Transposed convolutions keep their input channels first.
  decoder.up_0 = p:convolution("output_upscaling.0", s.out, s.upscaled1, 2, s.upscaled1)
  decoder.up_1 = p:norm("output_upscaling.1", s.upscaled1, n.upscaling_norm == "map" and EPS or UPSCALING_EPS)
  decoder.up_3 = p:convolution("output_upscaling.3", s.upscaled1, s.upscaled2, 2, s.upscaled2)
  for m = 0, n.hypernetworks - 1 do
    decoder.hyper[m + 1] = perceptron(p:at("output_hypernetworks_mlps." .. m), n.hyper_layers, s.out, s.hyper,
      s.upscaled2)
  end
  decoder.iou = perceptron(p:at "iou_prediction_head", n.iou_layers, s.out, s.iou, s.masks)
  return decoder
end

-- Attention of queries on keys, whose values are without their positions.
local function attend(t, a, q, k, v)
  local o = t.g:attention(t:linear(q, a.q), t:linear(k, a.k), t:linear(v, a.v), nil, nil, nil, nil,
    { heads = t.model.decoder.heads })
  return t:linear(o, a.out)
end

-- x + D_fc2 relu(D_fc1 x + D_fcp tokens): one sum with one bias, the first product's being in it before the second goes
-- on.
local function prompt_adapter(t, maps, x, tokens)
  local g, m = t.g, t.model
  local one, other = m.tensor[maps.D_fc1.bias.name], m.tensor[maps.D_fcp.bias.name]
  local bias
  if t:trains(maps.D_fc1.bias, maps.D_fcp.bias) then
    bias = g:add(t:parameter(maps.D_fc1.bias), t:parameter(maps.D_fcp.bias))
  else
    bias = g:constant(maps.D_fc1.bias.name, one.shape, function() return one:add(other) end, segment.of(one, other))
  end
  local start = g:linear(x, t:parameter(maps.D_fc1.weight), bias)
  local hidden = g:act(g:linear(tokens, t:parameter(maps.D_fcp.weight), nil, start), { f = "relu" })
  return g:add(x, t:linear(hidden, maps.D_fc2))
end

local function self_attention(t, l, k, queries, tokens)
  local g, m = t.g, t.model
  g:layer(("decoder_%d_self_attention"):format(k))
  local with = k > 0 and g:add(queries, tokens) or queries
  if m.position_stays then queries = with end
  local y = attend(t, l.self_attention, with, with, queries)
  if k > 0 or m.first_self_attention == "add" then y = g:add(queries, y) end
  return g:named("queries", t:norm(y, l.norm1))
end

local function token_to_image(t, l, k, queries, keys, tokens, position)
  local g = t.g
  g:layer(("decoder_%d_token_to_image"):format(k))
  local y = attend(t, l.token_to_image, g:add(queries, tokens), g:add(keys, position), keys)
  if l.prompt_adapter then y = prompt_adapter(t, l.prompt_adapter, y, tokens) end
  return t:norm(g:add(queries, y), l.norm2)
end

local function token_mlp(t, l, k, queries)
  local g, m = t.g, t.model
  g:layer(("decoder_%d_mlp"):format(k))
  local y = t:linear(g:act(t:linear(queries, l.lin1), { f = m.decoder.activation }), l.lin2)
  if l.mlp_adapter then y = g:add(y, adapter.compute(t, l.mlp_adapter, queries, "relu"),
    { scale = m.adapter_scale }) end
  return t:norm(g:add(queries, y), l.norm3)
end

local function image_to_token(t, l, k, queries, keys, tokens, position)
  local g = t.g
  g:layer(("decoder_%d_image_to_token"):format(k))
  local y = g:add(keys, attend(t, l.image_to_token, g:add(keys, position), g:add(queries, tokens), queries))
  if l.image_adapter then y = g:add(y, adapter.compute(t, l.image_adapter, y, "relu")) end
  y = t:norm(y, l.norm4)
  return keys.kind == "input" and g:named("keys", y) or y
end

local function perceive(t, layers, x)
  for i, map in ipairs(layers) do
    x = t:linear(x, map)
    if i < #layers then x = t.g:act(x, { f = t.model.decoder.activation }) end
  end
  return x
end

-- The image at twice its side, and its norm: of each place by itself, or of the map as a whole, which is then there
-- first.
local function upscaled(t, e, x)
  local g, norm, m = t.g, e.up_1, t.model
  local of_map = m.upscaling_norm == "map"
  g:layer(of_map and "upscaling" or "masks")
  x = g:reshape(x, { to = { 1, m.grid, m.grid, m.out } })
  x = g:conv_transpose(x, t:parameter(e.up_0.weight), t:parameter(e.up_0.bias))
  if not of_map then return t:norm(x, norm) end
  g:layer "masks"
  return g:mapnorm(g:named("upscaled", x), t:parameter(norm.weight), t:parameter(norm.bias), { eps = norm.eps })
end

--- Masks [masks,4 grid,4 grid] and their scores [1,masks].
-- @param tokens of the prompt, behind the score's and the masks', counted @param keys the image's side of the prompt
-- @param position features of the grid's places [grid^2,out]
function mask_decoder.compute(t, e, tokens, keys, position)
  local g, m = t.g, t.model
  local queries, grid, masks = tokens, m.grid, m.decoder.masks
  for i, l in ipairs(e.layers) do
    queries = self_attention(t, l, i - 1, queries, tokens)
    queries = token_to_image(t, l, i - 1, queries, keys, tokens, position)
    queries = token_mlp(t, l, i - 1, queries)
    keys = image_to_token(t, l, i - 1, queries, keys, tokens, position)
  end
  g:layer "decoder_final_token_to_image"
  local y = attend(t, e.final, g:add(queries, tokens), g:add(keys, position), keys)
  local last = t:norm(g:add(queries, y), e.norm_final)

  g:layer "heads"
  local function token(i)
    local one = g:slice(last, { first = i, count = 1 })
    one.counted = false
    return one
  end
  local hyper = {}
  for n = 1, masks do hyper[n] = perceive(t, e.hyper[n], token(n)) end
  local weights = g:named("hyper", g:concat(hyper))
  local scores = g:named("iou", perceive(t, e.iou, token(0)))

  local x = g:act(upscaled(t, e, keys), { f = "gelu" })
  x = g:conv_transpose(x, t:parameter(e.up_3.weight), t:parameter(e.up_3.bias))
  x = g:act(x, { f = "gelu" })
  local logits = g:permute(g:linear(x, weights, nil, nil, { value = true }), { order = { 4, 2, 3, 1 } })
  return g:named("logits", g:reshape(logits, { to = { masks, 4 * grid, 4 * grid } })), scores
end

return mask_decoder

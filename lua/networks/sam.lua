-- SPDX-License-Identifier: Apache-2.0
--- SAM: image encoder, prompt encoder and mask decoder. The network is described here and in the files that this one
-- names, and nowhere else: what a file must hold, what synth writes and what is computed are walks of it.
--   n        encoder: its name (networks/encoders.lua), and what that one's counts are; layers, hypernetworks,
--            hyper_layers, iou_layers: counts; encoder_adapters, decoder_adapters: are there any; depth: slices;
--            encoder_norm_eps, decoder_norm_eps: of the layer norms in blocks and layers, nil for SAM's; places: how
--            many places a prompt always has (networks/places.lua), nil for SAM's prompts; relative: false where blocks
--            have no relative positions; class_position: does pos_embed begin with a class token's;
--            upscaling_norm: "map" where the norm of the up-sampled image is over all of it
--   n.sizes  a number or a size for each of sam.sizes(encoder)

local encoders = require "networks.encoders"
local graph = require "graph.ssa"
local mask_decoder = require "networks.mask_decoder"
local places = require "networks.places"
local prompt_encoder = require "networks.prompt_encoder"
local sizes = require "networks.sizes"
local terms = require "networks.terms"

local sam = {}

--- out: width of the embedding; decoder_mlp: of what is between an MLP's maps; mask_in1, mask_in2, upscaled1,
-- upscaled2: channels of the mask prompt and of the up-sampled image; cross: width of cross attention; masks: mask
-- tokens; hyper, iou: widths of the perceptrons of masks and scores.
local SIZES = { "decoder_mlp", "out", "mask_in1", "mask_in2", "upscaled1", "upscaled2", "cross", "masks", "hyper",
  "iou" }

--- Sizes that a file is to tell, by name. @param encoder its name
function sam.unknown_sizes(encoder)
  local all = sizes.unknowns(SIZES)
  for name, size in pairs(sizes.unknowns(encoders.named(encoder, "network").sizes)) do all[name] = size end
  return all
end

--- The prompts of a network, or of a model description. @return networks/prompt_encoder.lua or networks/places.lua
function sam.prompts(n) return n.places and places or prompt_encoder end

--- Declare all tensors. @param p networks/parameters.lua @param n above @return parameters: encoder, prompts, decoder
function sam.declare(p, n)
  return { encoder = encoders.named(n.encoder, "network").declare(p:at "image_encoder", n),
    prompts = sam.prompts(n).declare(p:at "prompt_encoder", n), decoder = mask_decoder.declare(p:at "mask_decoder", n) }
end

-- The token rows of a prompt that trains what they are made of.
-- @param text the declaration of the projection of texts, or nil where there is none
local function embedded(t, prompts, rows, text)
  local declared, parts = {}, {}
  for _, entry in ipairs(t.model.entries) do declared[entry.name] = entry end
  for i = 2, #prompts.rows do parts[i - 1] = t:parameter(declared[prompts.rows[i]]) end
  local projection = t:parameter(text)
  if projection then
    parts[#parts + 1] = t.g:linear(t.g:input("text", { 1, projection.shape[2] }), projection)
  end
  return t.g:embed(t.g:input("token_features", { rows, t.model.out }, true), t.g:concat(parts),
    t.g:input("token_index", { rows, 1 }, true))
end

--- The graph of a model. Inputs: image, normalised, of all slices; then, of one slice, embedding, tokens and
-- mask_prompt, which prompts of places have not.
-- Outputs: embedding; logits, scores.
-- @param parameters what declare() gave @param m the model description @param position [grid^2,out]: features of the
-- grid's places
-- @param rows the most tokens of a prompt
-- @param live where it is to be trained: function(SAM's name): does the tensor train? Then tokens are made of two other
-- inputs: token_features, and token_index, of rows of prompts.rows (networks/prompt_encoder.lua) without the Fourier
-- features', from 0; -1 for none. Where the model has a projection of texts, one more row is that of the input text, an
-- embedding [1,E] of length 1
function sam.compute(parameters, m, position, rows, live)
  local g = graph.new()
  local t = terms.of(g, m, live)
  local encode = encoders.named(m.encoder.kind, "network").compute
  g:output("embedding", g:named("embedding", encode(t, parameters.encoder)))
  local prompts = sam.prompts(m)
  local tokens
  if live then
    g:layer "tokens"
    tokens = embedded(t, prompts, rows, parameters.prompts.text)
  end
  g:layer "dense_prompt"
  local embedding = g:input("embedding", { 1, m.grid, m.grid, m.out })
  local mask = prompts.dense and g:input("mask_prompt", { 1, 4 * m.grid, 4 * m.grid, 1 })
  tokens = tokens or g:input("tokens", { rows, m.out }, true)
  local position_of_grid = g:constant("position", { m.grid * m.grid, m.out }, position,
    { m.tensor[parameters.prompts.gaussian.name].name })
  local keys = mask and prompts.dense(t, parameters.prompts, embedding, mask) or embedding
  local logits, scores = mask_decoder.compute(t, parameters.decoder, tokens, keys, position_of_grid)
  g:output("logits", logits)
  g:output("scores", scores)
  return g
end

return sam

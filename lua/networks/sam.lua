-- SPDX-License-Identifier: Apache-2.0
--- SAM: image encoder, prompt encoder and mask decoder. The network is described here and in the files that this one
-- names, and nowhere else: what a file must hold, what synth writes and what is computed are walks of it.
--   n        blocks, layers, hypernetworks, hyper_layers, iou_layers: counts; encoder_adapters, decoder_adapters: are
-- there any;
--            depth: slices; table_rows(i): rows of block i's relative positions, where sizes are known
--   n.sizes  a number or a size for each of sam.SIZES

local graph = require "graph.ssa"
local mask_decoder = require "networks.mask_decoder"
local prompt_encoder = require "networks.prompt_encoder"
local sizes = require "networks.sizes"
local terms = require "networks.terms"
local vit = require "networks.vit"

local sam = {}

--- dim, head: width of the encoder and of one of its heads; mlp, decoder_mlp: of what is between an MLP's maps; patch,
-- position:
-- sides of a patch and of the table of positions; out: width of the embedding; mask_in1, mask_in2, upscaled1,
-- upscaled2: channels of the mask prompt and of the up-sampled image; cross: width of cross attention; masks: mask
-- tokens; hyper, iou: widths of the perceptrons of masks and scores.
sam.SIZES = { "dim", "head", "mlp", "decoder_mlp", "patch", "position", "out", "mask_in1", "mask_in2", "upscaled1",
  "upscaled2", "cross",
  "masks", "hyper", "iou" }

--- Sizes that a file is to tell.
function sam.unknown_sizes() return sizes.unknowns(sam.SIZES) end

--- Declare all tensors. @param p networks/parameters.lua @param n above @return parameters: encoder, prompts, decoder
function sam.declare(p, n)
  return { encoder = vit.declare(p:at "image_encoder", n), prompts = prompt_encoder.declare(p:at "prompt_encoder", n),
    decoder = mask_decoder.declare(p:at "mask_decoder", n) }
end

--- The graph of a model. Inputs: image, normalised, of all slices; then, of one slice, embedding, tokens and
-- mask_prompt.
-- Outputs: embedding; logits, scores.
-- @param parameters what declare() gave @param m the model description @param position [grid^2,out]: features of the
-- grid's places
-- @param rows the most tokens of a prompt
function sam.compute(parameters, m, position, rows)
  local g = graph.new()
  local t = terms.of(g, m)
  g:output("embedding", g:named("embedding", vit.compute(t, parameters.encoder)))
  g:layer "dense_prompt"
  local embedding = g:input("embedding", { 1, m.grid, m.grid, m.out })
  local mask = g:input("mask_prompt", { 1, 4 * m.grid, 4 * m.grid, 1 })
  local tokens = g:input("tokens", { rows, m.out }, true)
  local places = g:constant("position", { m.grid * m.grid, m.out }, position,
    { m.tensor[parameters.prompts.gaussian.name].name })
  local keys = prompt_encoder.dense(t, parameters.prompts, embedding, mask)
  local logits, scores = mask_decoder.compute(t, parameters.decoder, tokens, keys, places)
  g:output("logits", logits)
  g:output("scores", scores)
  return g
end

return sam

-- SPDX-License-Identifier: Apache-2.0
--- SAM: image encoder, prompt encoder and mask decoder. The network is described here and in the files that this one names, and
-- nowhere else: what a file must hold, what synth writes and what is computed are walks of it.
--   n        blocks, layers, hypernetworks, hyper_layers, iou_layers: counts; encoder_adapters, decoder_adapters: are there any;
--            depth: slices; table_rows(i): rows of block i's relative positions, where sizes are known
--   n.sizes  a number or a size for each of sam.SIZES

local sizes = require "networks.sizes"

local sam = {}

--- dim, head: width of the encoder and of one of its heads; mlp, decoder_mlp: of what is between an MLP's maps; patch, position:
-- sides of a patch and of the table of positions; out: width of the embedding; mask_in1, mask_in2, upscaled1, upscaled2: channels of
-- the mask prompt and of the up-sampled image; cross: width of cross attention; masks: mask tokens; hyper, iou: widths of the
-- perceptrons of masks and scores.
sam.SIZES = { "dim", "head", "mlp", "decoder_mlp", "patch", "position", "out", "mask_in1", "mask_in2", "upscaled1", "upscaled2", "cross",
  "masks", "hyper", "iou" }

--- Sizes that a file is to tell.
function sam.unknown_sizes() return sizes.unknowns(sam.SIZES) end

--- Declare all tensors. @param p networks/parameters.lua @param n above @return parameters: encoder, prompts, decoder
function sam.declare(p, n)
  return { encoder = require "networks.vit"(p:at "image_encoder", n), prompts = require "networks.prompt_encoder"(p:at "prompt_encoder", n),
    decoder = require "networks.mask_decoder"(p:at "mask_decoder", n) }
end

return sam

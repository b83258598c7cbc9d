-- SPDX-License-Identifier: Apache-2.0
-- Names and shapes of full checkpoints, as each dialect's program saves them; the values come from gen/synth.c (DIALECTS.md section 5).

local synth = {}

--- The published encoders. `global` is 0-based; everything else is common to them.
synth.architectures = {
  vit_b = { dim = 768, blocks = 12, heads = 12, global = { 2, 5, 8, 11 } },
  vit_l = { dim = 1024, blocks = 24, heads = 16, global = { 5, 11, 17, 23 } },
  vit_h = { dim = 1280, blocks = 32, heads = 16, global = { 7, 15, 23, 31 } },
}
local common = { patch = 16, window = 14, out = 256, decoder_mlp = 2048, masks = 4 }

--- What a dialect's files have beyond SAM's, or name otherwise. `position` is the side of the position table where it does not
-- follow the resolution.
local files = {
  ["sam"] = { rel = "rel_pos_" },
  ["msa-2023"] = { rel = "rel_pos_", adapters = true },
  ["msa-2024"] = { rel = "rel_", adapters = true, position = 64, decoder_mlp = { "mlp.layers.0.0", "mlp.fc" } },
  ["msa-paper"] = { rel = "rel_pos_", adapters = true, decoder_adapters = true },
}
files["msa-2025"] = files["msa-2024"]

--- Sorted names, for messages and --help.
local function names(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end
synth.architecture_names = names(synth.architectures)
synth.dialect_names = names(files)

--- A list {name=, shape=} in which groups of tensors are added under a prefix.
local function new_list()
  local list = {}
  local function tensor(name, ...) list[#list + 1] = { name = name, shape = { ... } } end
  local function layer(name, ...)
    tensor(name .. ".weight", ...)
    tensor(name .. ".bias", (...))
  end
  local function norm(name, width) layer(name, width) end
  return list, tensor, layer, norm
end

local function encoder(shape, file, tensor, layer, norm)
  local C, P, grid = shape.dim, shape.patch, shape.resolution // shape.patch
  local position = file.position or grid
  local is_global = {}
  for _, block in ipairs(shape.global) do is_global[block] = true end
  local function adapter(name)
    layer(name .. ".D_fc1", C // 4, C)
    layer(name .. ".D_fc2", C, C // 4)
  end

  tensor("image_encoder.pos_embed", 1, position, position, C)
  layer("image_encoder.patch_embed.proj", C, 3, P, P)
  for i = 0, shape.blocks - 1 do
    local block = ("image_encoder.blocks.%d."):format(i)
    local rows = 2 * (is_global[i] and grid or shape.window) - 1
    norm(block .. "norm1", C)
    tensor(block .. "attn." .. file.rel .. "h", rows, C // shape.heads)
    tensor(block .. "attn." .. file.rel .. "w", rows, C // shape.heads)
    layer(block .. "attn.qkv", 3 * C, C)
    layer(block .. "attn.proj", C, C)
    if file.adapters then
      adapter(block .. "MLP_Adapter")
      adapter(block .. "Space_Adapter")
      adapter(block .. "Depth_Adapter")
    end
    norm(block .. "norm2", C)
    layer(block .. "mlp.lin1", 4 * C, C)
    layer(block .. "mlp.lin2", C, 4 * C)
  end
  local E = shape.out
  tensor("image_encoder.neck.0.weight", E, C, 1, 1)
  norm("image_encoder.neck.1", E)
  tensor("image_encoder.neck.2.weight", E, E, 3, 3)
  norm("image_encoder.neck.3", E)
end

local function prompt_encoder(shape, tensor, layer, norm)
  local E = shape.out
  tensor("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 2, E // 2)
  for i = 0, 3 do tensor(("prompt_encoder.point_embeddings.%d.weight"):format(i), 1, E) end
  tensor("prompt_encoder.not_a_point_embed.weight", 1, E)
  layer("prompt_encoder.mask_downscaling.0", 4, 1, 2, 2)
  norm("prompt_encoder.mask_downscaling.1", 4)
  layer("prompt_encoder.mask_downscaling.3", 16, 4, 2, 2)
  norm("prompt_encoder.mask_downscaling.4", 16)
  layer("prompt_encoder.mask_downscaling.6", E, 16, 1, 1)
  tensor("prompt_encoder.no_mask_embed.weight", 1, E)
end

local function mask_decoder(shape, file, tensor, layer, norm)
  local E = shape.out
  local lin1, lin2 = table.unpack(file.decoder_mlp or { "mlp.lin1", "mlp.lin2" })
  local function attention(name, inner)
    layer(name .. ".q_proj", inner, E)
    layer(name .. ".k_proj", inner, E)
    layer(name .. ".v_proj", inner, E)
    layer(name .. ".out_proj", E, inner)
  end
  for k = 0, 1 do
    local two_way = ("mask_decoder.transformer.layers.%d."):format(k)
    attention(two_way .. "self_attn", E)
    norm(two_way .. "norm1", E)
    attention(two_way .. "cross_attn_token_to_image", E // 2)
    norm(two_way .. "norm2", E)
    layer(two_way .. lin1, shape.decoder_mlp, E)
    layer(two_way .. lin2, E, shape.decoder_mlp)
    norm(two_way .. "norm3", E)
    norm(two_way .. "norm4", E)
    attention(two_way .. "cross_attn_image_to_token", E // 2)
    if file.decoder_adapters and k == 0 then
      layer(two_way .. "Prompt_Adapter.D_fc1", E // 4, E)
      layer(two_way .. "Prompt_Adapter.D_fc2", E, E // 4)
      layer(two_way .. "Prompt_Adapter.D_fcp", E // 4, E)
      layer(two_way .. "MLP_Adapter.D_fc1", E // 4, E)
      layer(two_way .. "MLP_Adapter.D_fc2", E, E // 4)
      layer(two_way .. "Image_Adapter.D_fc1", E // 4, E)
      layer(two_way .. "Image_Adapter.D_fc2", E, E // 4)
    end
  end
  attention("mask_decoder.transformer.final_attn_token_to_image", E // 2)
  norm("mask_decoder.transformer.norm_final_attn", E)

  tensor("mask_decoder.iou_token.weight", 1, E)
  tensor("mask_decoder.mask_tokens.weight", shape.masks, E)
  tensor("mask_decoder.output_upscaling.0.weight", E, E // 4, 2, 2) -- transposed convolution: inputs first, the bias as long as the outputs
  tensor("mask_decoder.output_upscaling.0.bias", E // 4)
  norm("mask_decoder.output_upscaling.1", E // 4)
  tensor("mask_decoder.output_upscaling.3.weight", E // 4, E // 8, 2, 2)
  tensor("mask_decoder.output_upscaling.3.bias", E // 8)
  local function perceptron(name, outputs)
    layer(name .. ".layers.0", E, E)
    layer(name .. ".layers.1", E, E)
    layer(name .. ".layers.2", outputs, E)
  end
  for m = 0, shape.masks - 1 do perceptron(("mask_decoder.output_hypernetworks_mlps.%d"):format(m), E // 8) end
  perceptron("mask_decoder.iou_prediction_head", shape.masks)
end

--- Every tensor of a file of `dialect`, in the order that torch.save would give it: an array of {name=, shape=}.
-- shape: resolution, dim, blocks, heads, global; optionally patch, window, out, decoder_mlp, masks.
function synth.tensors(shape, dialect)
  local full = {}
  for _, key in ipairs { "patch", "window", "out", "decoder_mlp", "masks" } do full[key] = common[key] end
  for key, value in pairs(shape) do full[key] = value end
  local file = files[dialect]
  local list, tensor, layer, norm = new_list()
  encoder(full, file, tensor, layer, norm)
  prompt_encoder(full, tensor, layer, norm)
  mask_decoder(full, file, tensor, layer, norm)
  return list
end

--- Write the file. options: arch, resolution (pixels), dialect, seed, out (path), progress (function(done, count)) or nil.
function synth.write(options)
  local fail = require "fail"
  local architecture = synth.architectures[options.arch]
  local resolution = options.resolution
  if resolution < common.patch or resolution > 16384 or resolution % common.patch ~= 0 then
    fail("--resolution %d: a multiple of the patch, %d, from %d to 16384 expected", resolution, common.patch, common.patch)
  end
  local shape = { resolution = resolution }
  for key, value in pairs(architecture) do shape[key] = value end
  require "msagen.synth".write(options.out, synth.tensors(shape, options.dialect), options.seed, options.progress)
end

return synth

-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-2024: Medical SAM Adapter from 29 January 2024 to April 2025.

return {
  name = "msa-2024",
  source = "Medical SAM Adapter, January 2024 to April 2025",
  encoder = "vit",
  order = 3,

  marks = {
    naming = { "sam" },
    rel = { "rel" },
    mlp = { "layers" },
    encoder_adapters = { true, false },
    decoder_adapters = { false },
    lora = { true, false },
  },

  spelling = {
    { "image_encoder.blocks.N.attn.rel_h", "image_encoder.blocks.N.attn.rel_pos_h" },
    { "image_encoder.blocks.N.attn.rel_w", "image_encoder.blocks.N.attn.rel_pos_w" },
    { "mask_decoder.transformer.layers.N.mlp.layers.0.0.weight", "mask_decoder.transformer.layers.N.mlp.lin1.weight" },
    { "mask_decoder.transformer.layers.N.mlp.layers.0.0.bias", "mask_decoder.transformer.layers.N.mlp.lin1.bias" },
    { "mask_decoder.transformer.layers.N.mlp.fc.weight", "mask_decoder.transformer.layers.N.mlp.lin2.weight" },
    { "mask_decoder.transformer.layers.N.mlp.fc.bias", "mask_decoder.transformer.layers.N.mlp.lin2.bias" },
  },

  grid_from = "tables",        -- pos_embed is 64x64 whatever the file's resolution
  position_grid = 64,
  default_size = 1024,         -- where the file does not tell (LoRA)
  resample = true,
  volumes = "runs",
  pad = "norm1_bias",
  pad_without_adapters = "zero", -- the LoRA block normalises before it pads, as SAM does
  adapters = "encoder",
  adapter_activation = "gelu",
  first_self_attention = "add",
  position_stays = true,
  mask_rule = "first",
  least_mask_tokens = 4,
  normalise = "unit",
  resampling = "bilinear",
  resize = "squash",
  training = { clicks = "rc", upsampling = "nearest", feedback = "none", trained = { "adapters" } },

  warnings = {
    { option = "click_order",
      text = "The program that trains msa-2024 files gave clicks as (row, column) until 13 April 2025. Building for "
      .. "clicks as (x, y); use --click-order rc if these weights were trained with it before." },
  },
}

-- SPDX-License-Identifier: Apache-2.0
-- Dialect efficient-sam: EfficientSAM (Xiong et al. 2023): a plain ViT, prompts of six places, a decoder of its own.

local efficient = require "import.efficient"

local spelling = efficient.encoder()
table.move(efficient.decoder(), 1, 99, #spelling + 1, spelling)

return {
  name = "efficient-sam",
  source = "EfficientSAM",
  encoder = "vit",
  order = 30,

  marks = {
    naming = { "places" },
    rel = { "rel" },
    mlp = { "layers" },
    encoder_adapters = { false },
    decoder_adapters = { false },
    lora = { false },
  },

  spelling = spelling,

  grid_from = "nothing",
  default_size = 1024,
  resample = true,
  all_global = true,
  relative = false,
  head_width = 64,
  class_position = true,
  volumes = false,
  pad = "norm1_bias",
  adapters = "none",
  places = 6,
  first_self_attention = "add",
  position_stays = true,
  decoder_activation = "gelu",
  upscaling_norm = "map",
  mask_rule = "multimask",
  best_of_several = true,
  normalise = "imagenet255",
  resampling = "sampled",
  resize = "squash",
  upsample = "bicubic",
  zero_inside = true,
  training = { clicks = "xy", upsampling = "bicubic", feedback = "none", trained = { "everything" } },

  warnings = {},
}

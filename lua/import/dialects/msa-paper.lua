-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-paper: the network of the paper's text (Wu et al. 2023, arXiv 2304.12620), decoder adapters included.

return {
  name = "msa-paper",
  source = "the text of arXiv 2304.12620",
  encoder = "vit",
  order = 5,

  marks = {
    naming = { "sam" },
    rel = { "rel_pos" },
    mlp = { "lin" },
    encoder_adapters = { true },
    decoder_adapters = { true },
    lora = { false },
  },

  spelling = {},

  grid_from = "pos_embed",
  resample = true,
  volumes = "slices",
  pad = "norm1_bias",
  adapters = "paper",
  adapter_activation = "relu",
  first_self_attention = "replace",
  position_stays = false,
  mask_rule = "multimask",
  normalise = "imagenet255",
  resampling = "bilinear",
  resize = "squash",
  training = { clicks = "xy", upsampling = "bilinear", feedback = "none", trained = { "paper" } },

  warnings = {},
}

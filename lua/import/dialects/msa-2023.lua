-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-2023: Medical SAM Adapter as first released, May 2023.

return {
  name = "msa-2023",
  source = "Medical SAM Adapter, May 2023",
  encoder = "vit",
  order = 2,

  marks = {
    naming = { "sam" },
    rel = { "rel_pos" },
    mlp = { "lin" },
    encoder_adapters = { true },
    decoder_adapters = { false },
    lora = { false },
  },

  spelling = {},

  grid_from = "pos_embed",
  resample = false,
  volumes = "runs",
  pad = "norm1_bias",
  adapters = "encoder",
  adapter_activation = "gelu",
  first_self_attention = "replace",
  position_stays = false,
  mask_rule = "multimask",
  normalise = "unit",
  resampling = "bilinear",
  resize = "squash",
  training = { clicks = "rc", upsampling = "none", feedback = "none", trained = { "adapters" } },

  warnings = {
    { option = "click_order",
      text = "The program that trains msa-2023 files gives clicks as (row, column). Building for clicks as (x, y); "
      .. "use --click-order rc if these weights were trained with that program." },
  },
}

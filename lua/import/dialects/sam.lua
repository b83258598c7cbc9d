-- SPDX-License-Identifier: Apache-2.0
-- Dialect sam: segment-anything's own checkpoints (Kirillov et al. 2023).

return {
  name = "sam",
  source = "segment-anything",
  encoder = "vit",
  order = 1,

  -- What the names must show; a mark the file has no tensor for says nothing.
  marks = {
    naming = { "sam" },
    rel = { "rel_pos" },
    mlp = { "lin" },
    encoder_adapters = { false },
    decoder_adapters = { false },
    lora = { false },
  },

  -- File spelling on the left, SAM's on the right; N is any index.
  spelling = {},

  grid_from = "pos_embed",
  resample = false,
  volumes = false,
  pad = "zero",
  adapters = "none",
  first_self_attention = "replace",
  position_stays = false,
  mask_rule = "multimask",
  normalise = "imagenet255",
  resampling = "bilinear",
  resize = "longest",
  training = { clicks = "xy", upsampling = "bilinear", feedback = "logits", trained = { "everything" } },

  warnings = {},
}

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
  training = { clicks = "xy", upsampling = "bilinear", feedback = "logits" },

  warnings = {
    { option = "dialect",
      text = "MedSAM's files have the same tensors but another preparation (bicubic squash to 1024, min-max to [0,1], "
      .. "no mean or deviation). Building for segment-anything's; nothing in the file tells them apart, and a MedSAM "
      .. "file is not of dialect sam." },
  },
}

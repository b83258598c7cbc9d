-- SPDX-License-Identifier: Apache-2.0
-- Dialect mixer: files of a program that nobody wrote, whose encoder is lua/networks/encoders/mixer.lua.

return {
  name = "mixer",
  source = "a test",
  encoder = "mixer",
  order = 900,
  marks = { naming = { "sam" }, rel = { "rel_pos" }, mlp = { "lin" }, encoder_adapters = { false },
    decoder_adapters = { false }, lora = { false } },
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

-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-mobile-2024: Medical SAM Adapter on MobileSAM, until April 2025: adapters or LoRA pairs in a TinyViT, and
-- SAM's own decoder.

local dialect = require "import.derived" "mobile-sam"

dialect.name = "msa-mobile-2024"
dialect.source = "Medical SAM Adapter on MobileSAM, until April 2025"
dialect.order = 21
dialect.marks = {
  naming = { "tinyvit" },
  rel = { "rel_pos" },
  mlp = { "lin" },
  stem = { 3 },
  encoder_adapters = { true, false },
  decoder_adapters = { false },
  lora = { true, false },
}
dialect.adapted = true
-- With a ViT its encoder is msa-2024's, at the file's own size.
local vit = require "import.dialects.msa-2024"
dialect.variant = {
  encoder = "vit",
  marks = {
    naming = { "sam" },
    rel = { "rel" },
    mlp = { "lin" },
    encoder_adapters = { true, false },
    decoder_adapters = { false },
    lora = { true, false },
  },
  spelling = { vit.spelling[1], vit.spelling[2] },
  grid_from = "pos_embed",
  resample = vit.resample,
  volumes = vit.volumes,
  pad = vit.pad,
  pad_without_adapters = vit.pad_without_adapters,
  adapted = false,
}
dialect.default_size = nil
dialect.adapters = "encoder"
dialect.adapter_activation = "gelu"
dialect.normalise = "unit"
dialect.resize = "squash"
dialect.training = { clicks = "rc", upsampling = "nearest", feedback = "none", trained = { "adapters" } }
dialect.warnings = {
  { option = "click_order",
    text = "The program that trains msa-mobile-2024 files gave clicks as (row, column) until 13 April 2025. Building "
    .. "for clicks as (x, y); use --click-order rc if these weights were trained with it before." },
}

return dialect

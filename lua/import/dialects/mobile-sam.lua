-- SPDX-License-Identifier: Apache-2.0
-- Dialect mobile-sam: MobileSAM (Zhang et al. 2023), SAM with a TinyViT for its encoder.

local dialect = require "import.derived" "sam"

dialect.name = "mobile-sam"
dialect.source = "MobileSAM"
dialect.order = 20
dialect.encoder = "tinyvit"
dialect.marks = {
  naming = { "tinyvit" },
  rel = { "rel_pos" },
  mlp = { "lin" },
  stem = { 3 },
  encoder_adapters = { false },
  decoder_adapters = { false },
  lora = { false },
}
dialect.grid_from = "nothing"
dialect.default_size = 1024
dialect.resample = true
dialect.training = { clicks = "xy", upsampling = "bilinear", feedback = "logits", trained = { "encoder" } }
dialect.warnings = {
  { option = "dialect",
    text = "A file that Medical SAM Adapter trained on MobileSAM without adapters has the same tensors, but images "
      .. "squashed to a square; it is of dialect msa-mobile-2024 or msa-mobile-2025. Building for MobileSAM's own." },
}

return dialect

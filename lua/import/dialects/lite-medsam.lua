-- SPDX-License-Identifier: Apache-2.0
-- Dialect lite-medsam: LiteMedSAM, MobileSAM's network with patches of one pixel's convolutions, at 256, and a
-- preparation of its own.

local dialect = require "import.derived" "mobile-sam"

dialect.name = "lite-medsam"
dialect.source = "LiteMedSAM"
dialect.order = 21
dialect.marks = {
  naming = { "tinyvit" },
  rel = { "rel_pos" },
  mlp = { "lin" },
  stem = { 1 },
  encoder_adapters = { false },
  decoder_adapters = { false },
  lora = { false },
}
dialect.default_size = 256
dialect.resampling = "area"
dialect.normalise = "minmax"
dialect.warnings = {}
dialect.training = { clicks = "xy", upsampling = "bilinear", feedback = "none", trained = { "everything" } }

return dialect

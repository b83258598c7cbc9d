-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-efficient-2024: Medical SAM Adapter on EfficientSAM, until April 2025: msa-2024's blocks, all of them
-- global, with adapters or LoRA pairs; EfficientSAM's prompts and decoder.

local dialect = require "import.derived" "efficient-sam"
local msa = require "import.dialects.msa-2024"

dialect.name = "msa-efficient-2024"
dialect.source = "Medical SAM Adapter on EfficientSAM, until April 2025"
dialect.order = 31
dialect.marks = {
  naming = { "adapted_places" },
  rel = { "rel" },
  mlp = { "layers" },
  encoder_adapters = { true, false },
  decoder_adapters = { false },
  lora = { true, false },
}
dialect.spelling = require("import.efficient").decoder()
table.move(msa.spelling, 1, 2, #dialect.spelling + 1, dialect.spelling)
dialect.grid_from = "tables"
dialect.default_size = nil
dialect.table_grid = 64 -- that of 1024 pixels, in files without adapters
dialect.relative = nil
dialect.head_width = nil
dialect.encoder_norm_eps = 1e-5
dialect.volumes = msa.volumes
dialect.adapters = "encoder"
dialect.adapter_activation = "gelu"
dialect.click_side = 1024
dialect.normalise = "unit"
dialect.resampling = "bilinear"
dialect.upsample = nil
dialect.zero_inside = nil
dialect.best_of_several = nil
dialect.training = { clicks = "rc", upsampling = "nearest", feedback = "none", trained = { "adapters" } }
dialect.warnings = {
  { option = "click_order",
    text = "The program that trains msa-efficient-2024 files gave clicks as (row, column) until 13 April 2025. "
    .. "Building for clicks as (x, y); use --click-order rc if these weights were trained with it before." },
}

return dialect

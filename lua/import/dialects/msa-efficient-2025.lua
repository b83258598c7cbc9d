-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-efficient-2025: Medical SAM Adapter on EfficientSAM since 15 April 2025: msa-efficient-2024's network,
-- another preparation.

local dialect = require "import.derived" "msa-efficient-2024"

dialect.name = "msa-efficient-2025"
dialect.source = "Medical SAM Adapter on EfficientSAM since 15 April 2025"
dialect.order = 32
dialect.normalise = "imagenet1_of_255"
dialect.training = { clicks = "xy", upsampling = "bilinear", feedback = "none", trained = { "adapters" } }
dialect.warnings = {}

return dialect

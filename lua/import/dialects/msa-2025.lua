-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-2025: Medical SAM Adapter since 15 April 2025: msa-2024's network and names, another preparation.

local dialect = require "import.derived" "msa-2024"

dialect.name = "msa-2025"
dialect.source = "Medical SAM Adapter since 15 April 2025"
dialect.order = 4
dialect.normalise = "imagenet255"
dialect.training = { clicks = "xy", upsampling = "bilinear", feedback = "none", trained = { "adapters" } }
dialect.warnings = {}

return dialect

-- SPDX-License-Identifier: Apache-2.0
-- Dialect msa-mobile-2025: Medical SAM Adapter on MobileSAM since 15 April 2025: msa-mobile-2024's network, another
-- preparation.

local dialect = require "import.derived" "msa-mobile-2024"

dialect.name = "msa-mobile-2025"
dialect.source = "Medical SAM Adapter on MobileSAM since 15 April 2025"
dialect.order = 22
dialect.variant = require("import.dialects.msa-mobile-2024").variant
dialect.normalise = "imagenet255"
dialect.training = { clicks = "xy", upsampling = "bilinear", feedback = "none", trained = { "adapters" } }
dialect.warnings = {}

return dialect

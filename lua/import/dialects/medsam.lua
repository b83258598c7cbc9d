-- SPDX-License-Identifier: Apache-2.0
-- Dialect medsam: MedSAM (Ma et al. 2024), SAM's network and names trained on boxes, with the preparation of its
-- inference script.

local dialect = require "import.derived" "sam"

dialect.name = "medsam"
dialect.source = "MedSAM"
dialect.order = 3
dialect.resampling = "spline"
dialect.resize = "squash"
dialect.normalise = "minmax"
dialect.mask_from = "probabilities"
dialect.training = { clicks = "xy", upsampling = "bilinear", feedback = "none", trained = { "encoder", "masks" } }

return dialect

-- SPDX-License-Identifier: Apache-2.0
-- Dialect hf-medsam: MedSAM as the transformers library saves it: hf-sam's network and names, medsam's preparation.

local dialect, medsam = require "import.derived" "hf-sam", require "import.dialects.medsam"

dialect.name = "hf-medsam"
dialect.source = "MedSAM in transformers' names"
dialect.order = 4
for _, field in ipairs { "resampling", "resize", "normalise", "mask_from", "training" } do
  dialect[field] = medsam[field]
end

return dialect

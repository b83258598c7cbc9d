-- SPDX-License-Identifier: Apache-2.0
-- Dialect hf-sam: segment-anything's network as the transformers library saves it (SamModel): other names, and another
-- epsilon in the decoder's layers.

local dialect = require "import.derived" "sam"

dialect.name = "hf-sam"
dialect.source = "transformers' SamModel"
dialect.order = 2
dialect.marks = {
  naming = { "transformers" },
  rel = { "rel_pos" },
  mlp = { "lin" },
  encoder_adapters = { false },
  decoder_adapters = { false },
  lora = { false },
}
dialect.spelling = require("import.transformers").spelling()
dialect.config = true
dialect.decoder_norm_eps = 1e-6

return dialect

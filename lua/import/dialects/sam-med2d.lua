-- SPDX-License-Identifier: Apache-2.0
-- Dialect sam-med2d: SAM-Med2D (Cheng et al. 2023), SAM's network at 256 with an adapter of convolutions in each block.

local dialect = require "import.derived" "sam"

dialect.name = "sam-med2d"
dialect.source = "SAM-Med2D"
dialect.order = 30
dialect.marks = {
  naming = { "sam" },
  rel = { "rel_pos" },
  mlp = { "lin" },
  encoder_adapters = { false },
  decoder_adapters = { false },
  conv_adapters = { true },
  lora = { false },
}
dialect.adapters = "convolutional"
dialect.resampling = "nearest"
dialect.resize = "squash"
dialect.best_of_several = true
dialect.mask_square = true
dialect.normalise = "imagenet255-bgr"
dialect.training = { clicks = "xy", upsampling = "bilinear", feedback = "logits", trained = { "adapters", "decoder" } }

return dialect

-- SPDX-License-Identifier: Apache-2.0
-- The second part of the training of checkpoint.safetensors: what train.lua made goes on, prompted as builds are asked,
-- with clicks alone.
--   msagen train demo/fetal-head/refine.lua --base out/first.safetensors -o out/fetal-head.safetensors
return {
  data = "train",
  dialect = "msa-paper",
  resolution = 256,
  train = "adapters",
  prompts = "centre",
  rounds = 5,
  feedback = "none",
  loss = { kind = "dicece", cross_entropy = "binary" },
  augment = "flip-x:0.5,flip-y:0.5,rotate:45,scale:0.7..1.3,gain:0.4,gamma:0.6..1.6",
  learning_rate = 4e-4,
  schedule = "cosine",
  warm_up = 10,
  clip = 1,
  batch = 4,
  steps = 150,
  seed = 1,
}

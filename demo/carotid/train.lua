-- SPDX-License-Identifier: Apache-2.0
-- How delta.safetensors was trained, on the 14 images of train/, from what demo/fetal-head/train.lua made:
--   msagen train demo/carotid/train.lua --base out/first.safetensors -o out/carotid.safetensors
-- The backbone stays, and is the fetal head's: only what trained is written.
return {
  data = "train",
  dialect = "msa-paper",
  resolution = 256,
  train = "adapters",
  delta = true,
  prompts = "centre",
  rounds = 4,
  feedback = "none",
  loss = { kind = "dicece", cross_entropy = "binary" },
  augment = "flip-x:0.5,flip-y:0.5,rotate:45,scale:0.7..1.3,gain:0.4,gamma:0.6..1.6",
  learning_rate = 1e-3,
  schedule = "cosine",
  warm_up = 20,
  clip = 1,
  batch = 4,
  steps = 300,
  seed = 0,
}

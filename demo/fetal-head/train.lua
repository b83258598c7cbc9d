-- SPDX-License-Identifier: Apache-2.0
-- The first part of how both demos of ultrasound were trained, on the 16 fetal heads of train/:
--   msagen train demo/fetal-head/train.lua -o out/first.safetensors
-- Of the base only the backbone counts, which stays as it is: image encoder and prompt encoder. Adapters and mask
-- decoder begin as random numbers of the seed, so the base may be the file that comes of it in the end.
return {
  data = "train",
  base = "checkpoint.safetensors",
  dialect = "msa-paper",
  resolution = 256,
  anew = "adapters",
  train = "adapters",
  init = "identity",
  prompts = "centre",
  rounds = 3,
  loss = { kind = "dicece", cross_entropy = "binary" },
  augment = "flip-x:0.5,flip-y:0.5,rotate:45,scale:0.7..1.3,gain:0.4,gamma:0.6..1.6",
  learning_rate = 1e-3,
  schedule = "cosine",
  warm_up = 20,
  clip = 1,
  batch = 4,
  steps = 600,
  seed = 0,
}

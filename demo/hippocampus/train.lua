-- SPDX-License-Identifier: Apache-2.0
-- How checkpoint.safetensors was trained, on the 14 volumes of train/, both parts of the hippocampus as one:
--   msagen train demo/hippocampus/train.lua -o out/hippocampus.safetensors
-- Of the base only the backbone counts, which stays as it is: image encoder and prompt encoder. Adapters and mask
-- decoder begin as random numbers of the seed, so the base may be the file that comes of it in the end.
return {
  data = "train/train.csv",
  prepare = "percentile-trunc:1/99@kij",
  base = "checkpoint.safetensors",
  dialect = "msa-2023",
  resolution = 128,
  depth = 12,
  click_order = "xy",
  anew = "adapters",
  train = "adapters",
  init = "identity",
  prompts = "paper",
  rounds = 3,
  feedback = "none",
  loss = { kind = "dicece", cross_entropy = "binary" },
  augment = "flip-x:0.5,flip-y:0.5,rotate:30,scale:0.75..1.3,gain:0.3,gamma:0.7..1.4",
  learning_rate = 1e-3,
  schedule = "cosine",
  warm_up = 20,
  clip = 1,
  batch = 4,
  steps = 1000,
  seed = 0,
}

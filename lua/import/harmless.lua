-- SPDX-License-Identifier: Apache-2.0
-- Tensors that are not of the network and may lie in its file: a short list of names that are known to change no mask.
-- What is not on it is refused.

local harmless = {}

-- Buffers of SAM itself; what profilers (thop) and averaging (torch.optim.swa_utils, ema-pytorch, LitEma) count; what
-- an optimizer keeps.
local NAMES = {
  { "%.bn%.num_batches_tracked$", "a counter of training steps" },
  { "%.attn%.attention_bias_idxs$", "made of the window's side" }, { "%.attn%.ab$", "a copy of attention_biases" },
  { "^image_encoder%.norm_head%.", "of a classifier" }, { "^image_encoder%.head%.", "of a classifier" },
  { "^prompt_encoder%.shared_embedding%.positional_embedding$", "a copy of shared_image_embedding" },
  { "^pixel_mean$", "the dialect's own mean and deviation are used" }, { "^pixel_std$",
    "the dialect's own mean and deviation are used" },
  { "%.?%f[%w_]total_ops$", "a profiler's counter" }, { "%.?%f[%w_]total_params$", "a profiler's counter" },
  { "^n_averaged$", "a counter of averaged weights" }, { "^model_ema%.decay$", "a counter of averaged weights" },
  { "^model_ema%.num_updates$", "a counter of averaged weights" }, { "^initted$", "a counter of averaged weights" }, {
    "^step$", "a counter of training steps" },
  { "^pretrain%.", "a head of pre-training" },
  { "^optimizer%.", "an optimizer's state" }, { "^optimizer_states?%.", "an optimizer's state" },
}

--- Why a tensor may be left out without asking, or nil. @param name without a wrapper's prefix
function harmless.why(name)
  for _, one in ipairs(NAMES) do
    if name:find(one[1]) then return one[2] end
  end
end

return harmless

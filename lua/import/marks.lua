-- SPDX-License-Identifier: Apache-2.0
-- The marks that dialects are told by: what the names of a file's tensors may show (import/names.lua finds it), and how
-- it is said.
-- In this order they are asked. "both", a mixture, is no value of a dialect; "none" shows nothing. `default` is what a
-- dialect's are that leaves the mark out.

local either = "both"

local marks = {
  { name = "naming", spoken = {
    sam = "SAM's names",
    transformers = "transformers' names",
    tinyvit = "names of a TinyViT",
    places = "names of EfficientSAM",
    adapted_places = "names of Medical SAM Adapter on EfficientSAM",
    [either] = "names of several encoders",
    none = "no names of the encoder",
  } },
  { name = "rel", spoken = {
    rel_pos = "relative positions named rel_pos_h/w",
    rel = "relative positions named rel_h/w",
    [either] = "relative positions named both rel_pos_h/w and rel_h/w",
    none = "no relative positions",
  } },
  { name = "mlp", spoken = {
    lin = "decoder MLPs named mlp.lin1/lin2",
    layers = "decoder MLPs named mlp.layers/fc",
    [either] = "decoder MLPs named both mlp.lin1/lin2 and mlp.layers/fc",
    none = "no decoder MLPs",
  } },
  { name = "stem", default = { 1, 3 }, spoken = {
    [3] = "patches embedded by convolutions of 3 x 3",
    [1] = "patches embedded by convolutions of 1 x 1",
    none = "no convolutions of patches",
  } },
  { name = "encoder_adapters", spoken = { [true] = "encoder adapters", [false] = "no encoder adapters" } },
  { name = "decoder_adapters", spoken = { [true] = "decoder adapters", [false] = "no decoder adapters" } },
  { name = "conv_adapters", default = { false }, spoken = { [true] = "adapters of convolutions",
    [false] = "no adapters of convolutions" } },
  { name = "lora", spoken = { [true] = "LoRA pairs", [false] = "no LoRA pairs" } },
}

for _, mark in ipairs(marks) do
  mark.values = {}
  for value in pairs(mark.spoken) do
    if value ~= either and value ~= "none" then mark.values[#mark.values + 1] = value end
  end
  table.sort(mark.values, function(a, b) return tostring(a) < tostring(b) end)
end

return marks

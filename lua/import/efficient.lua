-- SPDX-License-Identifier: Apache-2.0
--- EfficientSAM's names of tensors, where they are not SAM's.

local BOTH = { "weight", "bias" }

-- Name in the file, SAM's name.
local ENCODER = { { "image_encoder.blocks.N.mlp.fc1", "image_encoder.blocks.N.mlp.lin1" },
  { "image_encoder.blocks.N.mlp.fc2", "image_encoder.blocks.N.mlp.lin2" } }
local LAYERS, UPSCALING = "mask_decoder.transformer.layers.N.mlp.", "mask_decoder.final_output_upscaling_layers."
local DECODER = { { LAYERS .. "layers.0.0", LAYERS .. "lin1" }, { LAYERS .. "fc", LAYERS .. "lin2" },
  { UPSCALING .. "0.0", "mask_decoder.output_upscaling.0" }, { UPSCALING .. "0.1", "mask_decoder.output_upscaling.1" },
  { UPSCALING .. "1.0", "mask_decoder.output_upscaling.3" } }
for _, head in ipairs { "mask_decoder.output_hypernetworks_mlps.N", "mask_decoder.iou_prediction_head" } do
  for _, pair in ipairs { { ".layers.0.0", ".layers.0" }, { ".layers.1.0", ".layers.1" }, { ".fc", ".layers.2" } } do
    DECODER[#DECODER + 1] = { head .. pair[1], head .. pair[2] }
  end
end

local function put(list, pairs_of)
  for _, pair in ipairs(pairs_of) do
    for _, last in ipairs(BOTH) do list[#list + 1] = { pair[1] .. "." .. last, pair[2] .. "." .. last } end
  end
  return list
end

return {
  --- A dialect's `spelling`, a new list each: of the encoder's MLPs, and of the decoder.
  encoder = function() return put({}, ENCODER) end,
  decoder = function() return put({}, DECODER) end,
}

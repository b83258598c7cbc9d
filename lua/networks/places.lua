-- SPDX-License-Identifier: Apache-2.0
--- EfficientSAM's prompt encoder (Xiong et al. 2023): always so many places, points and then two corners; those that a
-- prompt has not are invalid points. No mask prompt, and nothing that is added to the image.

local places = {}

--- The tensors whose rows tokens are made of, in order: Fourier features, what marks a place, outputs.
places.rows = { "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "prompt_encoder.invalid_points.weight",
  "prompt_encoder.point_embeddings.weight", "prompt_encoder.bbox_top_left_embeddings.weight",
  "prompt_encoder.bbox_bottom_right_embeddings.weight", "mask_decoder.iou_token.weight",
  "mask_decoder.mask_tokens.weight" }

--- Declare the prompt encoder's tensors. @param n the network: networks/sam.lua @return its parameters
function places.declare(p, n)
  local out = n.sizes.out
  return { gaussian = p:tensor("pe_layer.positional_encoding_gaussian_matrix", 2, out // 2),
    invalid = p:tensor("invalid_points.weight", 1, out), point = p:tensor("point_embeddings.weight", 1, out),
    top_left = p:tensor("bbox_top_left_embeddings.weight", 1, out),
    bottom_right = p:tensor("bbox_bottom_right_embeddings.weight", 1, out) }
end

return places

-- SPDX-License-Identifier: Apache-2.0
--- SAM's mask decoder (Kirillov et al. 2023): a two-way transformer between tokens and image, up-sampling, a hypernetwork a mask;
-- with the decoder's adapters of Wu et al. 2023, which the first layer alone has.

local adapter = require "networks.adapter"

local EPS, UPSCALING_EPS = 1e-5, 1e-6

local function attention(p, name, inner, width)
  local at, a = p:at(name), {}
  for _, part in ipairs { "q", "k", "v" } do a[part] = at:linear(part .. "_proj", inner, width) end
  a.out = at:linear("out_proj", width, inner)
  return a
end

local function layer(p, n, k)
  local s, l = n.sizes, {}
  l.self_attention = attention(p, "self_attn", s.out, s.out)
  l.norm1 = p:norm("norm1", s.out, EPS)
  l.token_to_image = attention(p, "cross_attn_token_to_image", s.cross, s.out)
  l.norm2 = p:norm("norm2", s.out, EPS)
  l.lin1 = p:linear("mlp.lin1", s.decoder_mlp, s.out)
  l.lin2 = p:linear("mlp.lin2", s.out, s.decoder_mlp)
  l.norm3 = p:norm("norm3", s.out, EPS)
  l.norm4 = p:norm("norm4", s.out, EPS)
  l.image_to_token = attention(p, "cross_attn_image_to_token", s.cross, s.out)
  if k == 0 and n.decoder_adapters then
    l.prompt_adapter = adapter(p, "Prompt_Adapter", s.out, "D_fcp")
    l.mlp_adapter = adapter(p, "MLP_Adapter", s.out)
    l.image_adapter = adapter(p, "Image_Adapter", s.out)
  end
  return l
end

-- A perceptron of so many layers, `inner` wide between.
local function perceptron(p, layers, input, inner, output)
  local list = {}
  for l = 0, layers - 1 do
    list[l + 1] = p:linear("layers." .. l, l == layers - 1 and output or inner, l == 0 and input or inner)
  end
  return list
end

--- Declare the mask decoder's tensors. @param n the network: networks/sam.lua @return its parameters
return function(p, n)
  local s, decoder, transformer = n.sizes, { layers = {}, hyper = {} }, p:at "transformer"
  for k = 0, n.layers - 1 do decoder.layers[k + 1] = layer(transformer:at("layers." .. k), n, k) end
  decoder.final = attention(transformer, "final_attn_token_to_image", s.cross, s.out)
  decoder.norm_final = transformer:norm("norm_final_attn", s.out, EPS)
  decoder.iou_token = p:tensor("iou_token.weight", 1, s.out)
  decoder.mask_tokens = p:tensor("mask_tokens.weight", s.masks, s.out)
  -- Transposed convolutions keep their input channels first.
  decoder.up_0 = p:convolution("output_upscaling.0", s.out, s.upscaled1, 2, s.upscaled1)
  decoder.up_1 = p:norm("output_upscaling.1", s.upscaled1, UPSCALING_EPS)
  decoder.up_3 = p:convolution("output_upscaling.3", s.upscaled1, s.upscaled2, 2, s.upscaled2)
  for m = 0, n.hypernetworks - 1 do
    decoder.hyper[m + 1] = perceptron(p:at("output_hypernetworks_mlps." .. m), n.hyper_layers, s.out, s.hyper, s.upscaled2)
  end
  decoder.iou = perceptron(p:at "iou_prediction_head", n.iou_layers, s.out, s.iou, s.masks)
  return decoder
end

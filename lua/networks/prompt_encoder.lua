-- SPDX-License-Identifier: Apache-2.0
--- SAM's prompt encoder (Kirillov et al. 2023): Fourier features of places, embeddings of what a place is, a mask's convolutions.

local EPS = 1e-6

--- Declare the prompt encoder's tensors. @param n the network: networks/sam.lua @return its parameters
return function(p, n)
  local s = n.sizes
  local prompts = { gaussian = p:tensor("pe_layer.positional_encoding_gaussian_matrix", 2, s.out // 2), point = {} }
  for k = 0, 3 do prompts.point[k + 1] = p:tensor(("point_embeddings.%d.weight"):format(k), 1, s.out) end
  prompts.no_point = p:tensor("not_a_point_embed.weight", 1, s.out)
  prompts.mask_0 = p:convolution("mask_downscaling.0", s.mask_in1, 1, 2, s.mask_in1)
  prompts.mask_1 = p:norm("mask_downscaling.1", s.mask_in1, EPS)
  prompts.mask_3 = p:convolution("mask_downscaling.3", s.mask_in2, s.mask_in1, 2, s.mask_in2)
  prompts.mask_4 = p:norm("mask_downscaling.4", s.mask_in2, EPS)
  prompts.mask_6 = p:convolution("mask_downscaling.6", s.out, s.mask_in2, 1, s.out)
  prompts.no_mask = p:tensor("no_mask_embed.weight", 1, s.out)
  return prompts
end

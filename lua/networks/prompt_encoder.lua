-- SPDX-License-Identifier: Apache-2.0
--- SAM's prompt encoder (Kirillov et al. 2023): Fourier features of places, embeddings of what a place is, a mask's
-- convolutions.

local EPS = 1e-6

local prompt_encoder = {}

--- The tensors whose rows tokens are made of, in order: Fourier features, what a place is, outputs.
prompt_encoder.rows = { "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
  "prompt_encoder.point_embeddings.0.weight", "prompt_encoder.point_embeddings.1.weight",
  "prompt_encoder.point_embeddings.2.weight", "prompt_encoder.point_embeddings.3.weight",
  "prompt_encoder.not_a_point_embed.weight", "mask_decoder.iou_token.weight", "mask_decoder.mask_tokens.weight" }

--- What brings texts' embeddings to the width of tokens, where a network was trained with texts.
prompt_encoder.text_projection = "prompt_encoder.text_projection.weight"

--- Declare the prompt encoder's tensors. @param n the network: networks/sam.lua @return its parameters
function prompt_encoder.declare(p, n)
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
  -- Of texts' embeddings to tokens, in files of networks that were trained with texts.
  if p:present "text_projection.weight" then
    prompts.text = p:tensor("text_projection.weight", s.out, p:size "text")
  end
  return prompts
end

--- The image's side of a prompt: the embedding with the mask prompt, or with what stands for none, added.
-- @param embedding [1,grid,grid,out] of a slice @param mask an input [1,4 grid,4 grid,1] named mask_prompt
function prompt_encoder.dense(t, e, embedding, mask)
  local g = t.g
  local x = g:conv(mask, t:parameter(e.mask_0.weight), t:parameter(e.mask_0.bias), { stride = 2, sums = "whole" })
  x = g:act(t:norm(x, e.mask_1), { f = "gelu" })
  x = g:conv(x, t:parameter(e.mask_3.weight), t:parameter(e.mask_3.bias), { stride = 2, sums = "whole" })
  x = g:act(t:norm(x, e.mask_4), { f = "gelu" })
  local with = g:add(t:linear(x, e.mask_6), embedding)
  return g:named("keys", g:select(with, g:add(embedding, t:parameter(e.no_mask)), { given = "mask_prompt" }))
end

return prompt_encoder

-- SPDX-License-Identifier: Apache-2.0
-- The network as a list of tensors: SAM's name and symbolic shape of each, for the counts that a file shows.
--
-- A dimension is a number, a variable ("dim"), or "3*dim", "out/2". The first tensor that names a variable gives its
-- value; every later one must agree (import.shapes). A variable that begins with a dot belongs to one group of
-- entries: ".hidden" of an adapter may differ from adapter to adapter.

local network = {}

local List = {}
List.__index = List

-- A hostile file may promise millions of layers; this many missing tensors are proof enough.
local MOST_MISSING = 1000
local enough = {}

function List:add(name, ...)
  if not self.present[name] and not self.optional then
    if self.missing >= MOST_MISSING then error(enough, 0) end
    self.missing = self.missing + 1
  end
  self[#self + 1] = { name = name, shape = { ... }, group = self.group, fate = self.fate, why = self.why, optional = self.optional }
end

--- Entries of `body` share their dotted variables and whatever `with` says (fate, why, optional).
function List:within(with, body)
  local group, fate, why, optional = self.group, self.fate, self.why, self.optional
  self.group, self.fate, self.why, self.optional = {}, with.fate or fate, with.why or why, with.optional or optional
  body()
  self.group, self.fate, self.why, self.optional = group, fate, why, optional
end

function List:affine(name, width)
  self:add(name .. ".weight", width)
  self:add(name .. ".bias", width)
end

function List:linear(name, rows, columns)
  self:add(name .. ".weight", rows, columns)
  self:add(name .. ".bias", rows)
end

function List:convolution(name, outer, inner, side, bias)
  self:add(name .. ".weight", outer, inner, side, side)
  if bias then self:add(name .. ".bias", bias) end
end

function List:adapter(name, width, third)
  self:within({}, function()
    self:linear(name .. ".D_fc1", ".hidden", width)
    if third then self:linear(name .. "." .. third, ".hidden", width) end
    self:linear(name .. ".D_fc2", width, ".hidden")
  end)
end

function List:attention(name, inner)
  for _, part in ipairs { "q_proj", "k_proj", "v_proj" } do
    self:linear(name .. "." .. part, inner, "out")
  end
  self:linear(name .. ".out_proj", "out", inner)
end

--- An MLP of n layers, `inner` wide between: layers.0 takes "out", the last gives `last`.
function List:mlp(name, n, inner, last)
  for l = 0, n - 1 do
    self:linear(("%s.layers.%d"):format(name, l), l == n - 1 and last or inner, l == 0 and "out" or inner)
  end
end

function List:lora(name, rows, columns, rank, present)
  if not (present[name .. ".lora_A"] or present[name .. ".lora_B"]) then return end
  self:within({ fate = "folded", why = "into " .. name:match("([%w_]+%.[%w_]+)$") .. ".weight, divided by its rank" }, function()
    self:add(name .. ".lora_B", rows, ".rank")
    self:add(name .. ".lora_A", rank, columns)
  end)
end

local function block(list, i, traits, options, present)
  local name = ("image_encoder.blocks.%d."):format(i)
  list:affine(name .. "norm1", "dim")
  list:within({}, function()
    list:add(name .. "attn.rel_pos_h", ".table", "head")
    list:add(name .. "attn.rel_pos_w", ".table", "head")
  end)
  list:linear(name .. "attn.qkv", "3*dim", "dim")
  list:lora(name .. "attn.qkv", "2*dim", "dim", "2*.rank", present)
  list:linear(name .. "attn.proj", "dim", "dim")
  if traits.encoder_adapters then
    list:adapter(name .. "Space_Adapter", "dim")
    list:adapter(name .. "MLP_Adapter", "dim")
    local with = options.depth > 1 and { why = "depth branch" }
      or { fate = "dead", why = "depth branch; a 2-D build has none", optional = true }
    list:within(with, function() list:adapter(name .. "Depth_Adapter", "dim") end)
  end
  list:affine(name .. "norm2", "dim")
  list:linear(name .. "mlp.lin1", "mlp", "dim")
  list:lora(name .. "mlp.lin1", "mlp", "dim", ".rank", present)
  list:linear(name .. "mlp.lin2", "dim", "mlp")
  list:lora(name .. "mlp.lin2", "dim", "mlp", ".rank", present)
end

local function encoder(list, counts, traits, options, present)
  local name = "image_encoder."
  list:convolution(name .. "patch_embed.proj", "dim", 3, "patch", "dim")
  list:add(name .. "pos_embed", 1, "position", "position", "dim")
  for i = 0, counts.blocks - 1 do
    block(list, i, traits, options, present)
  end
  list:convolution(name .. "neck.0", "out", "dim", 1)
  list:affine(name .. "neck.1", "out")
  list:convolution(name .. "neck.2", "out", "out", 3)
  list:affine(name .. "neck.3", "out")
end

local function prompts(list)
  local name = "prompt_encoder."
  list:add(name .. "pe_layer.positional_encoding_gaussian_matrix", 2, "out/2")
  for k = 0, 3 do
    list:add(("%spoint_embeddings.%d.weight"):format(name, k), 1, "out")
  end
  list:add(name .. "not_a_point_embed.weight", 1, "out")
  list:add(name .. "no_mask_embed.weight", 1, "out")
  list:convolution(name .. "mask_downscaling.0", "mask_in1", 1, 2, "mask_in1")
  list:affine(name .. "mask_downscaling.1", "mask_in1")
  list:convolution(name .. "mask_downscaling.3", "mask_in2", "mask_in1", 2, "mask_in2")
  list:affine(name .. "mask_downscaling.4", "mask_in2")
  list:convolution(name .. "mask_downscaling.6", "out", "mask_in2", 1, "out")
end

local function decoder(list, counts, traits)
  local name = "mask_decoder.transformer."
  for k = 0, counts.layers - 1 do
    local layer = ("%slayers.%d."):format(name, k)
    list:attention(layer .. "self_attn", "out")
    list:affine(layer .. "norm1", "out")
    list:attention(layer .. "cross_attn_token_to_image", "cross")
    list:affine(layer .. "norm2", "out")
    list:linear(layer .. "mlp.lin1", "decoder_mlp", "out")
    list:linear(layer .. "mlp.lin2", "out", "decoder_mlp")
    list:affine(layer .. "norm3", "out")
    list:affine(layer .. "norm4", "out")
    list:attention(layer .. "cross_attn_image_to_token", "cross")
    if k == 0 and traits.decoder_adapters then
      list:adapter(layer .. "Prompt_Adapter", "out", "D_fcp")
      list:adapter(layer .. "MLP_Adapter", "out")
      list:adapter(layer .. "Image_Adapter", "out")
    end
  end
  list:attention(name .. "final_attn_token_to_image", "cross")
  list:affine(name .. "norm_final_attn", "out")

  name = "mask_decoder."
  list:add(name .. "iou_token.weight", 1, "out")
  list:add(name .. "mask_tokens.weight", "masks", "out")
  -- Transposed convolutions keep their input channels first.
  list:convolution(name .. "output_upscaling.0", "out", "upscaled1", 2, "upscaled1")
  list:affine(name .. "output_upscaling.1", "upscaled1")
  list:convolution(name .. "output_upscaling.3", "upscaled1", "upscaled2", 2, "upscaled2")
  for m = 0, counts.hypernetworks - 1 do
    list:mlp(("%soutput_hypernetworks_mlps.%d"):format(name, m), counts.hyper_layers, "hyper", "upscaled2")
  end
  list:mlp(name .. "iou_prediction_head", counts.iou_layers, "iou", "masks")
end

--- Every tensor of the network, in the order in which shapes are best explained; cut short past a thousand missing ones.
-- counts: blocks, layers, hypernetworks, hyper_layers, iou_layers (each at least 1); present: set of the file's names.
function network.tensors(counts, traits, options, present)
  local list = setmetatable({ fate = "used", why = "", group = {}, present = present, missing = 0 }, List)
  local ok, problem = pcall(function()
    encoder(list, counts, traits, options, present)
    prompts(list)
    decoder(list, counts, traits)
  end)
  if not ok and problem ~= enough then error(problem, 0) end
  list.truncated = not ok
  return list
end

return network

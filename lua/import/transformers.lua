-- SPDX-License-Identifier: Apache-2.0
--- SAM as the transformers library saves it (SamModel): other names for the same tensors, and config.json beside the
-- file, which tells what no tensor does.

local fail = require "support.fail"
local schema = require "support.schema"

local transformers = {}

local BOTH = { ".weight", ".bias" }

-- Name in the file, SAM's name, the endings that follow both.
local PAIRS = {
  { "vision_encoder.pos_embed", "image_encoder.pos_embed", { "" } },
  { "vision_encoder.patch_embed.projection", "image_encoder.patch_embed.proj", BOTH },
  { "vision_encoder.layers.N.layer_norm1", "image_encoder.blocks.N.norm1", BOTH },
  { "vision_encoder.layers.N.layer_norm2", "image_encoder.blocks.N.norm2", BOTH },
  { "vision_encoder.layers.N.attn.qkv", "image_encoder.blocks.N.attn.qkv", BOTH },
  { "vision_encoder.layers.N.attn.proj", "image_encoder.blocks.N.attn.proj", BOTH },
  { "vision_encoder.layers.N.attn.rel_pos", "image_encoder.blocks.N.attn.rel_pos", { "_h", "_w" } },
  { "vision_encoder.layers.N.mlp.lin1", "image_encoder.blocks.N.mlp.lin1", BOTH },
  { "vision_encoder.layers.N.mlp.lin2", "image_encoder.blocks.N.mlp.lin2", BOTH },
  { "vision_encoder.neck.conv1", "image_encoder.neck.0", { ".weight" } },
  { "vision_encoder.neck.layer_norm1", "image_encoder.neck.1", BOTH },
  { "vision_encoder.neck.conv2", "image_encoder.neck.2", { ".weight" } },
  { "vision_encoder.neck.layer_norm2", "image_encoder.neck.3", BOTH },
  { "shared_image_embedding.positional_embedding", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    { "" } },
  { "prompt_encoder.point_embed.N", "prompt_encoder.point_embeddings.N", { ".weight" } },
  { "prompt_encoder.mask_embed.conv1", "prompt_encoder.mask_downscaling.0", BOTH },
  { "prompt_encoder.mask_embed.layer_norm1", "prompt_encoder.mask_downscaling.1", BOTH },
  { "prompt_encoder.mask_embed.conv2", "prompt_encoder.mask_downscaling.3", BOTH },
  { "prompt_encoder.mask_embed.layer_norm2", "prompt_encoder.mask_downscaling.4", BOTH },
  { "prompt_encoder.mask_embed.conv3", "prompt_encoder.mask_downscaling.6", BOTH },
  { "mask_decoder.transformer.layers.N.layer_norm1", "mask_decoder.transformer.layers.N.norm1", BOTH },
  { "mask_decoder.transformer.layers.N.layer_norm2", "mask_decoder.transformer.layers.N.norm2", BOTH },
  { "mask_decoder.transformer.layers.N.layer_norm3", "mask_decoder.transformer.layers.N.norm3", BOTH },
  { "mask_decoder.transformer.layers.N.layer_norm4", "mask_decoder.transformer.layers.N.norm4", BOTH },
  { "mask_decoder.transformer.layer_norm_final_attn", "mask_decoder.transformer.norm_final_attn", BOTH },
  { "mask_decoder.upscale_conv1", "mask_decoder.output_upscaling.0", BOTH },
  { "mask_decoder.upscale_layer_norm", "mask_decoder.output_upscaling.1", BOTH },
  { "mask_decoder.upscale_conv2", "mask_decoder.output_upscaling.3", BOTH },
}

-- Perceptrons of three layers: what is layers.0 here is layers.1 there.
for _, head in ipairs { "mask_decoder.output_hypernetworks_mlps.N", "mask_decoder.iou_prediction_head" } do
  for from, to in pairs { proj_in = "layers.0", ["layers.0"] = "layers.1", proj_out = "layers.2" } do
    PAIRS[#PAIRS + 1] = { head .. "." .. from, head .. "." .. to, BOTH }
  end
end

--- A dialect's `spelling`: { name in the file, SAM's name } each.
function transformers.spelling()
  local list = {}
  for _, pair in ipairs(PAIRS) do
    for _, ending in ipairs(pair[3]) do list[#list + 1] = { pair[1] .. ending, pair[2] .. ending } end
  end
  return list
end

-- ---- config.json ----

local MOST_BYTES = 1 << 20

local positive = schema.whole(1, 1 << 20)
local eps = schema.kind(function(value)
  if math.type(value) == nil or not (value > 0 and value < 1) then return "a number between 0 and 1" end
end)

-- What is read of it: section, field, kind. A file may leave any of them out.
local FIELDS = {
  { "vision_config", "num_attention_heads", positive }, { "vision_config", "window_size", positive },
  { "vision_config", "layer_norm_eps", eps },
  { "vision_config", "global_attn_indexes", schema.list_of(schema.whole(0, 9999), 0, "block numbers") },
  { "mask_decoder_config", "num_attention_heads", positive }, { "mask_decoder_config", "layer_norm_eps", eps },
}

--- What config.json beside a checkpoint says: { path, vision_config = { field = value }, mask_decoder_config = ... }
-- of the fields above; nil where there is none.
-- @param path the checkpoint's
function transformers.config(path)
  local sys, json = require "msagen.sys", require "msagen.json"
  local beside = (path:match "^(.*/)[^/]*$" or "") .. "config.json"
  if not sys.exists(beside) then return nil end
  local bytes = sys.size(beside)
  if bytes > MOST_BYTES then fail("%s: expected at most %d bytes, found %d", beside, MOST_BYTES, bytes) end
  local whole, found = json.decode(sys.read_file(beside), beside), { path = beside }
  if type(whole) ~= "table" or whole[1] ~= nil then
    fail("%s: expected a JSON object, found %s", beside, type(whole) == "table" and "a list" or schema.shown(whole))
  end
  for _, field in ipairs(FIELDS) do
    local section, name, kind = table.unpack(field)
    local values = whole[section]
    if values ~= nil and type(values) ~= "table" then
      fail("%s: %s: expected an object, found %s", beside, section, schema.shown(values))
    end
    local value = values and values[name]
    if value ~= nil and value ~= json.null then
      local expected, shown = kind(value)
      if expected then
        fail("%s: %s.%s: expected %s, found %s", beside, section, name, expected, shown or schema.shown(value))
      end
      found[section] = found[section] or {}
      found[section][name] = value
    end
  end
  return found
end

return transformers

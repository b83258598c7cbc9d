-- SPDX-License-Identifier: Apache-2.0
--- The kinds of layers, each a generated function: the run of operations that it is fused from, and on what it works. A
-- closed set: fusion, schedule,
-- costs and predictions refuse any other.
--   pattern   kinds of operations in order; one that ends in ? may be missing. nil: made by a pass
-- (lua/passes/memory.lua)
--   from, to  sides of its attention
--   tokens    what it goes through: "slices" (image tokens of all slices), "image" (those of one), or "prompt" (the
-- decoder's tokens)
local closed = require "closed"
local operations = require "graph_operations"

local kinds = {
  { name = "patch_embed", pattern = "patch_embed add_table", tokens = "slices" },
  { name = "encoder_attention",
    pattern = "layernorm window? grid_attention depth_attention? linear adapter? unwindow? add", tokens = "slices" },
  { name = "encoder_mlp", pattern = "layernorm linear gelu linear adapter? add? add", tokens = "slices" },
  { name = "neck", pattern = "linear layernorm conv3x3 layernorm", tokens = "slices" },
  { name = "dense_prompt", pattern = "add_dense_prompt", tokens = "image" },
  { name = "token_self_attention", pattern = "add? attention add? layernorm", from = "tokens", to = "tokens",
    tokens = "prompt" },
  { name = "token_to_image", pattern = "attention prompt_adapter? add layernorm", from = "tokens", to = "image",
    tokens = "prompt" },
  { name = "token_mlp", pattern = "linear relu linear adapter? add? add layernorm", tokens = "prompt" },
  { name = "image_to_token", pattern = "attention add adapter? add? layernorm", from = "image", to = "tokens",
    tokens = "image" },
  { name = "heads", pattern = "token_heads", tokens = "prompt" },
  { name = "masks", pattern = "conv_transpose2x2 layernorm gelu conv_transpose2x2 gelu mask_product",
    tokens = "image" },
  { name = "prepare", tokens = "image" },
}

local by_name, names = {}, {}
for i, kind in ipairs(kinds) do
  by_name[kind.name], names[i] = kind, kind.name
  kind.words = {}
  for word in (kind.pattern or ""):gmatch "%S+" do
    kind.words[#kind.words + 1] = word
    operations.of(word:gsub("%?$", ""), "layer_kinds: " .. kind.name)
  end
end

return {
  list = kinds,
  --- The kind of a name; a refusal that begins with `where` for what is none.
  of = function(name, where) return by_name[name] or closed.member(name, names, where) end,
}

-- SPDX-License-Identifier: Apache-2.0
--- Fuse: the operations of each layer become one fused operation, whose kind a table of patterns gives.
-- Relies on: operations of a layer stand together. Leaves: graph.fused, a list of { name, kind, op, op, ... }; an
-- operation that no pattern covers is an error, so nothing is dropped silently.
local patterns = {
  { "patch_embed", "patch_embed add_table" },
  { "encoder_attention", "layernorm window? grid_attention depth_attention? linear adapter? unwindow? add" },
  { "encoder_mlp", "layernorm linear gelu linear adapter? add? add" },
  { "neck", "linear layernorm conv3x3 layernorm" },
  { "dense_prompt", "add_dense_prompt" },
  { "token_self_attention", "add? attention add? layernorm", from = "tokens", to = "tokens" },
  { "token_to_image", "attention prompt_adapter? add layernorm", from = "tokens", to = "image" },
  { "token_mlp", "linear relu linear adapter? add? add layernorm" },
  { "image_to_token", "attention add adapter? add? layernorm", from = "image", to = "tokens" },
  { "heads", "token_heads" },
  { "masks", "conv_transpose2x2 layernorm gelu conv_transpose2x2 gelu mask_product" },
}

-- Whether the kinds, in order, are an instance of the pattern's words; a word ending in ? may be missing.
local function matches(words, kinds, w, k)
  w, k = w or 1, k or 1
  if w > #words then return k > #kinds end
  local word, optional = words[w]:match("^([%w_]+)(%??)$")
  if kinds[k] == word and matches(words, kinds, w + 1, k + 1) then return true end
  return optional == "?" and matches(words, kinds, w + 1, k)
end

local fused = {}
fused.__index = fused

--- The n-th (default first) operation of a kind, or nil.
function fused:op(kind, n)
  n = n or 1
  for _, op in ipairs(self) do
    if op.kind == kind then
      n = n - 1
      if n == 0 then return op end
    end
  end
end

return function(graph)
  graph.fused = {}
  for _, L in ipairs(graph:layers()) do
    local kinds, attention = {}, nil
    for i, op in ipairs(L) do
      kinds[i] = op.kind
      if op.kind == "attention" then attention = op end
    end
    for _, p in ipairs(patterns) do
      local words = {}
      for word in p[2]:gmatch("%S+") do words[#words + 1] = word end
      if matches(words, kinds) and (not p.from or (attention.from == p.from and attention.to == p.to)) then
        L.kind = p[1]
        break
      end
    end
    if not L.kind then error(("no pattern fuses layer %s: %s"):format(L.name, table.concat(kinds, " "))) end
    graph.fused[#graph.fused + 1] = setmetatable(L, fused)
  end
  return graph
end

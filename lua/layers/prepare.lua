-- SPDX-License-Identifier: Apache-2.0
--- What the decoder's first layer needs of the image alone, made once an encode for all prompts without a mask: keys and values
-- of the tokens' attention to it, queries of its attention to the tokens. Their multiply-adds count as the decoder's.
local segment = require "segment"

local prepare = {}

--- The layer, or nil where the graph's first decoder layer has none of it.
-- @param graph scheduled
function prepare.layer(graph)
  local dense, tokens, image
  for _, L in ipairs(graph.fused) do
    if L.kind == "dense_prompt" then dense = L
    elseif L.kind == "token_to_image" and not tokens then tokens = L
    elseif L.kind == "image_to_token" and not image then image = L end
  end
  if not (dense and tokens and image) then return nil end
  -- Where weights are fetched, this layer's are fetched at once: copies of all three segments, in the blob as well.
  local own = graph.streamed and segment.series { dense.segment, tokens.segment, image.segment } or segment.new()
  return { name = "decoder_prepare", kind = "prepare", segment = own, scratch = 0, shared = 0, own = 0, uses = { dense, tokens, image }, macs = 0,
    op = function() end }
end

return prepare

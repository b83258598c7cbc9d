-- SPDX-License-Identifier: Apache-2.0
--- SAM's image encoder: a ViT with windowed and global attention, decomposed relative positions, and MSA's adapters
-- (Kirillov et al. 2023; Li et al. 2022; Wu et al. 2023).

local adapter = require "networks.adapter"

local EPS = 1e-6

local function block(p, n, i)
  local s = n.sizes
  local b = { norm1 = p:norm("norm1", s.dim, EPS) }
  local rows = p:size("table", n.table_rows and n.table_rows(i))
  b.rel_pos_h = p:tensor("attn.rel_pos_h", rows, s.head)
  b.rel_pos_w = p:tensor("attn.rel_pos_w", rows, s.head)
  b.qkv = p:linear("attn.qkv", 3 * s.dim, s.dim, "qkv")
  b.proj = p:linear("attn.proj", s.dim, s.dim)
  if n.encoder_adapters then
    b.mlp_adapter = adapter(p, "MLP_Adapter", s.dim)
    b.space_adapter = adapter(p, "Space_Adapter", s.dim)
    local depth = n.depth > 1 and { why = "depth branch" }
      or { fate = "dead", why = "depth branch; a 2-D build has none", optional = true }
    b.depth_adapter = adapter(p:with(depth), "Depth_Adapter", s.dim)
  end
  b.norm2 = p:norm("norm2", s.dim, EPS)
  b.lin1 = p:linear("mlp.lin1", s.mlp, s.dim, "plain")
  b.lin2 = p:linear("mlp.lin2", s.dim, s.mlp, "plain")
  return b
end

--- Declare the encoder's tensors. @param n the network: networks/sam.lua @return its parameters
return function(p, n)
  local s = n.sizes
  local encoder = { patch = p:convolution("patch_embed.proj", s.dim, 3, s.patch, s.dim), blocks = {},
    position = p:tensor("pos_embed", 1, s.position, s.position, s.dim) }
  for i = 0, n.blocks - 1 do encoder.blocks[i + 1] = block(p:at("blocks." .. i), n, i) end
  encoder.neck_0 = p:convolution("neck.0", s.out, s.dim, 1)
  encoder.neck_1 = p:norm("neck.1", s.out, EPS)
  encoder.neck_2 = p:convolution("neck.2", s.out, s.out, 3)
  encoder.neck_3 = p:norm("neck.3", s.out, EPS)
  return encoder
end

-- SPDX-License-Identifier: Apache-2.0
--- An encoder that nobody trained: patches, then blocks of a depthwise 3 x 3 convolution, of attention in windows whose
-- logits start from a table of distances (as in TinyViT, Wu et al. 2022), and of an MLP; SAM's neck.

local names = require "import.names"
local segment = require "lower.segment"

local EPS = 1e-6

local mixer = { sizes = { "dim", "heads", "distances", "mlp", "patch", "position" } }

function mixer.counts(keys) return { blocks = math.max(1, names.count(keys, "image_encoder.blocks.")) } end

local function block(p, s)
  return { conv = p:convolution("conv", s.dim, 1, 3, s.dim), norm1 = p:norm("norm1", s.dim, EPS),
    bias = p:tensor("attn.bias", s.heads, s.distances), qkv = p:linear("attn.qkv", 3 * s.dim, s.dim),
    proj = p:linear("attn.proj", s.dim, s.dim), norm2 = p:norm("norm2", s.dim, EPS),
    lin1 = p:linear("mlp.lin1", s.mlp, s.dim), lin2 = p:linear("mlp.lin2", s.dim, s.mlp) }
end

function mixer.declare(p, n)
  local s = n.sizes
  local encoder = { patch = p:convolution("patch_embed.proj", s.dim, 3, s.patch, s.dim), blocks = {},
    position = p:tensor("pos_embed", 1, s.position, s.position, s.dim) }
  for i = 0, n.blocks - 1 do encoder.blocks[i + 1] = block(p:at("blocks." .. i), s) end
  encoder.neck_0, encoder.neck_1 = p:convolution("neck.0", s.out, s.dim, 1), p:norm("neck.1", s.out, EPS)
  encoder.neck_2, encoder.neck_3 = p:convolution("neck.2", s.out, s.out, 3), p:norm("neck.3", s.out, EPS)
  return encoder
end

function mixer.describe(file)
  local value = file.value
  local window = math.tointeger(value.distances ^ 0.5)
  assert(window and value.position % window == 0 and value.dim % value.heads == 0, "windows that divide the grid")
  return { encoder = { dim = value.dim, heads = value.heads, window = window, mlp = value.mlp,
    blocks = file.counts.blocks }, patch = value.patch, size = value.position * value.patch, grid = value.position,
    file_grid = value.position, choices = {} }
end

function mixer.adapt() end
function mixer.prune() return {} end
function mixer.warnings() end

local function attention(t, b, x)
  local g, e, C, list = t.g, t.model.encoder, t.model.encoder.dim, {}
  local n = t:norm(x, b.norm1)
  for i, part in ipairs { "q", "k", "v" } do
    list[i] = t:outputs(n, b.qkv, b.qkv.weight.name:gsub("qkv%.weight$", part), (i - 1) * C, C)
  end
  list[4] = t:parameter(b.bias)
  local o = g:biased_attention(list[1], list[2], list[3], list[4], { heads = e.heads, window = e.window })
  return g:add(x, t:linear(o, b.proj))
end

local function mlp(t, b, x)
  return t.g:add(x, t:linear(t.g:act(t:linear(t:norm(x, b.norm2), b.lin1), { f = "gelu" }), b.lin2))
end

function mixer.compute(t, e)
  local g, m = t.g, t.model
  g:layer "patch_embed"
  local image = g:input("image", { m.depth, m.image_size, m.image_size, 3 })
  local x = g:conv(image, t:parameter(e.patch.weight), t:parameter(e.patch.bias), { stride = m.patch,
    sums = "channel" })
  local position = m.tensor[e.position.name]
  x = g:named("x", g:add(x, g:constant(e.position.name, { m.grid * m.grid, m.encoder.dim }, function()
    return position:reshape { m.grid * m.grid, m.encoder.dim }
  end, segment.of(position))))
  for i, b in ipairs(e.blocks) do
    g:layer(("block_%02d_conv"):format(i - 1))
    local y = g:depthwise(x, t:parameter(b.conv.weight), t:parameter(b.conv.bias))
    x = g:add(x, g:act(y, { f = "gelu" }))
    g:layer(("block_%02d_attention"):format(i - 1))
    x = attention(t, b, x)
    g:layer(("block_%02d_mlp"):format(i - 1))
    x = mlp(t, b, x)
  end
  g:layer "neck"
  local y = t:norm(t:linear(x, e.neck_0), e.neck_1)
  return t:norm(g:conv(y, t:parameter(e.neck_2.weight), nil, { stride = 1, sums = "tap" }), e.neck_3)
end

function mixer.spoken(e, out)
  return ("%d blocks, width %d, window %d; out %d"):format(e.blocks, e.dim, e.window, out)
end

function mixer.facts(e) return { width = e.dim, blocks = e.blocks, heads = e.heads, mlp = e.mlp, window = e.window } end

mixer.words = { { "width of the encoder", "dim" }, { "number of blocks", "blocks" }, { "window", "window" } }

mixer.architectures = { mixer_tiny = { dim = 40, blocks = 2, heads = 5, patch = 8, window = 4, out = 48,
  decoder_mlp = 56 } }

function mixer.synthetic(shape)
  return { blocks = shape.blocks, sizes = { dim = shape.dim, heads = shape.heads,
    distances = shape.window * shape.window, mlp = 3 * shape.dim, patch = shape.patch,
    position = shape.resolution // shape.patch } }
end

return mixer

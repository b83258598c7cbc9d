-- SPDX-License-Identifier: Apache-2.0
--- CLIP's text encoder (Radford et al. 2021): a transformer whose tokens see themselves and those before them. What its
-- last layer has at a text's end becomes the embedding of the text.
--   n        layers: how many; apart: whether q, k and v are maps of their own, and the projection one of
--            [embedding,width]; eps: of the layer norms
--   n.sizes  a number or a size for each of text_encoder.sizes()

local deferred = require "import.deferred"
local graph = require "graph.ssa"
local sizes = require "networks.sizes"
local terms = require "networks.terms"

local text_encoder = {}

--- Sizes that a file is to tell: tokens, the most of a text, widths.
function text_encoder.unknown_sizes()
  return sizes.unknowns { "vocabulary", "context", "width", "mlp", "embedding" }
end

local function layer(p, n)
  local s, l = n.sizes, {}
  l.norm1 = p:norm("ln_1", s.width, n.eps)
  if n.apart then
    for _, part in ipairs { "q", "k", "v" } do l[part] = p:linear(("attn.%s_proj"):format(part), s.width, s.width) end
  else
    l.qkv = { weight = p:tensor("attn.in_proj_weight", 3 * s.width, s.width),
      bias = p:tensor("attn.in_proj_bias", 3 * s.width) }
  end
  l.out = p:linear("attn.out_proj", s.width, s.width)
  l.norm2 = p:norm("ln_2", s.width, n.eps)
  l.fc = p:linear("mlp.c_fc", s.mlp, s.width)
  l.proj = p:linear("mlp.c_proj", s.width, s.mlp)
  return l
end

--- Declare all tensors. @param p networks/parameters.lua @param n above @return parameters
function text_encoder.declare(p, n)
  local s, e = n.sizes, { layers = {} }
  e.position = p:tensor("positional_embedding", s.context, s.width)
  e.tokens = p:tensor("token_embedding.weight", s.vocabulary, s.width)
  for i = 0, n.layers - 1 do e.layers[i + 1] = layer(p:at("transformer.resblocks." .. i), n) end
  e.norm = p:norm("ln_final", s.width, n.eps)
  if n.apart then e.projection = p:tensor("text_projection.weight", s.embedding, s.width)
  else e.projection = p:tensor("text_projection", s.width, s.embedding) end
  return e
end

local function projected(t, l, i, part, x)
  if not l.qkv then return t:linear(x, l[part]) end
  local width = x.shape[#x.shape]
  local place = ({ q = 0, k = 1, v = 2 })[part]
  return t:outputs(x, l.qkv, ("transformer.resblocks.%d.attn.%s"):format(i, part), place * width, width)
end

local function attention(t, l, i, x, lengths)
  local maps = {}
  t.g:layer(("text_%02d_attention"):format(i))
  local y = t:norm(x, l.norm1)
  for k, part in ipairs { "q", "k", "v" } do maps[k] = projected(t, l, i, part, y) end
  local o = t.g:attention(maps[1], maps[2], maps[3], nil, nil, nil, nil, { heads = t.model.heads,
    causal = lengths })
  return t.g:add(x, t:linear(o, l.out))
end

local function mlp(t, l, i, x)
  t.g:layer(("text_%02d_mlp"):format(i))
  local y = t.g:act(t:linear(t:norm(x, l.norm2), l.fc), { f = t.model.activation })
  return t.g:add(x, t:linear(y, l.proj))
end

-- The last projection as a weight [embedding,width].
local function projection(t, e)
  local value = t:parameter(e.projection)
  local shape, whole = value.shape, value.tensor
  if shape[2] == t.model.width and e.projection.name:find "weight$" then return value end
  return t.g:constant(value.name, { shape[2], shape[1] }, function() return whole:transpose() end,
    deferred.sources(whole))
end

--- The graph of texts, one behind the other: from input tokens [rows,width], which are rows of the tokens' table, to
-- output embedding [texts,embedding].
-- @param e what declare() gave @param m a description of the model: tensor, width, heads, activation
-- @param lengths of the texts in tokens, up to the end's
function text_encoder.compute(e, m, lengths)
  local g = graph.new()
  local t = terms.of(g, m)
  local places, last = {}, {}
  for i, length in ipairs(lengths) do
    for place = 0, length - 1 do places[#places + 1] = place end
    last[i] = #places - 1
  end
  g:layer "text_tokens"
  local positions = g:gather(t:parameter(e.position), nil, { to = { #places, m.width },
    index = function() return places end })
  local x = g:add(g:input("tokens", { #places, m.width }), positions)
  for i, l in ipairs(e.layers) do x = mlp(t, l, i - 1, attention(t, l, i - 1, x, lengths)) end
  g:layer "text_projection"
  local ends = g:gather(x, nil, { to = { #lengths, m.width }, index = function() return last end })
  g:output("embedding", g:linear(t:norm(ends, e.norm), projection(t, e)))
  return g
end

return text_encoder

-- SPDX-License-Identifier: Apache-2.0
--- A CLIP checkpoint's text encoder: OpenAI's TorchScript files, open_clip's, and those of transformers, as a model
-- description for lua/networks/text_encoder.lua. What no tensor tells and no file beside is asked for.

local closed = require "support.closed"
local config = require "import.clip_config"
local fail = require "support.fail"
local names = require "import.names"
local parameters = require "networks.parameters"
local shapes = require "import.shapes"
local shards = require "import.shards"
local text_encoder = require "networks.text_encoder"

local clip = {}

local EPS = 1e-5 -- unless a file says otherwise

local BOTH = { ".weight", ".bias" }

-- Name in transformers' files, OpenAI's, the endings that follow both.
local PAIRS = {
  { "text_model.embeddings.token_embedding.weight", "token_embedding.weight", { "" } },
  { "text_model.embeddings.position_embedding.weight", "positional_embedding", { "" } },
  { "text_model.encoder.layers.N.layer_norm1", "transformer.resblocks.N.ln_1", BOTH },
  { "text_model.encoder.layers.N.self_attn.q_proj", "transformer.resblocks.N.attn.q_proj", BOTH },
  { "text_model.encoder.layers.N.self_attn.k_proj", "transformer.resblocks.N.attn.k_proj", BOTH },
  { "text_model.encoder.layers.N.self_attn.v_proj", "transformer.resblocks.N.attn.v_proj", BOTH },
  { "text_model.encoder.layers.N.self_attn.out_proj", "transformer.resblocks.N.attn.out_proj", BOTH },
  { "text_model.encoder.layers.N.layer_norm2", "transformer.resblocks.N.ln_2", BOTH },
  { "text_model.encoder.layers.N.mlp.fc1", "transformer.resblocks.N.mlp.c_fc", BOTH },
  { "text_model.encoder.layers.N.mlp.fc2", "transformer.resblocks.N.mlp.c_proj", BOTH },
  { "text_model.final_layer_norm", "ln_final", BOTH },
}

local spelling = {}
for _, pair in ipairs(PAIRS) do
  for _, ending in ipairs(pair[3]) do spelling[#spelling + 1] = { pair[1] .. ending, pair[2] .. ending } end
end
local _, to_transformers = names.speller(spelling)

-- Two ways to name the same network: the tokens' table by which it is known, where layers are, what belongs to the text
-- encoder, and of that what is no weight.
local OPENAI = { apart = false, table = "token_embedding.weight", layers = "transformer.resblocks.",
  parts = { "transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection", "cls_emb" },
  dead = {}, in_file = function(name) return name end, config = config.of_open_clip }
local TRANSFORMERS = { apart = true, table = "text_model.embeddings.token_embedding.weight",
  layers = "text_model.encoder.layers.", parts = { "text_model.", "text_projection" },
  dead = { ["text_model.embeddings.position_ids"] = true }, in_file = to_transformers,
  config = config.of_transformers }

local EXPECTED = "expected CLIP's text encoder, as OpenAI, open_clip or transformers save it, found "

-- A file without one, by what it has instead.
local function refuse_other(ckpt, list)
  local function has(pattern)
    for _, name in ipairs(list) do
      if name:find(pattern) then return name end
    end
  end
  local bert = has "word_embeddings%.weight$"
  if bert then fail("%s: %s: %sBERT's (as BiomedCLIP has), with a tokeniser of its own", ckpt.path, names.show(bert),
    EXPECTED) end
  local visual = has "^[%w_.]*visual%." or has "^[%w_.]*vision_model%."
  if visual then fail("%s: %s: %san image encoder alone", ckpt.path, names.show(visual), EXPECTED) end
  fail("%s: %snone: its first tensor is %s", ckpt.path, EXPECTED, names.show(list[1] or "none"))
end

-- How the file names it, and what stands before these names.
local function style_of(ckpt, list)
  local found = {}
  for _, name in ipairs(list) do
    for _, style in ipairs { TRANSFORMERS, OPENAI } do
      local before = name:sub(1, -#style.table - 1)
      if name:sub(-#style.table) == style.table and (before == "" or before:sub(-1) == ".") then
        found[#found + 1] = { style = style, prefix = before }
        break
      end
    end
  end
  if #found == 0 then refuse_other(ckpt, list) end
  if #found > 1 then
    fail("%s: expected one text encoder, found %d: %s%s and %s%s", ckpt.path, #found, names.show(found[1].prefix),
      found[1].style.table, names.show(found[2].prefix), found[2].style.table)
  end
  return found[1].style, found[1].prefix
end

local function begins_with_one(name, beginnings)
  for _, beginning in ipairs(beginnings) do
    if name:sub(1, #beginning) == beginning then return true end
  end
  return false
end

-- Marks of encoders that are nearly this one: a pattern of a name, and what it is of.
local NEARLY = {
  { "^cls_emb$", "of a CoCa model, whose texts end in a token of their own" },
  { "%.ls_[12]%.", "of an encoder whose layers are scaled" },
  { "^text_model%.head%.", "of SigLIP, which has another tokeniser" },
}

local function refuse_nearly(ckpt, keys, style)
  for _, key in ipairs(keys) do
    for _, mark in ipairs(NEARLY) do
      if key.key:find(mark[1]) then fail("%s: %s: %sone %s", ckpt.path, names.show(key.name), EXPECTED, mark[2]) end
    end
    if not style.apart and key.key:find "^text_projection%." then
      fail("%s: %s: %sone whose projection is a layer with a bias, as open_clip's proj_bias makes it", ckpt.path,
        names.show(key.name), EXPECTED)
    end
  end
end

-- What there is of the text encoder, by its key (the name without what all have before it).
local function parts_of(ckpt, list, style, prefix)
  local keys, by_key = {}, {}
  for _, name in ipairs(list) do
    local key = name:sub(1, #prefix) == prefix and name:sub(#prefix + 1)
    if key and begins_with_one(key, style.parts) and not style.dead[key] then
      keys[#keys + 1] = { name = name, key = key }
      by_key[key] = name
    end
  end
  refuse_nearly(ckpt, keys, style)
  return keys, by_key
end

local floating = { f32 = true, f64 = true, f16 = true, bf16 = true }

local function refuse_missing(ckpt, key, prefix)
  if key == "text_projection" or key == "text_projection.weight" then
    fail("%s: %s%s: expected the projection of texts, found none: a file of the text model alone (CLIPTextModel); take "
      .. "one of CLIPModel or CLIPTextModelWithProjection", ckpt.path, names.show(prefix), key)
  end
  fail("%s: %s%s: expected in a CLIP text encoder, found no such tensor", ckpt.path, names.show(prefix), key)
end

-- The tensor of a declaration, of the shape that it must have.
local function fitting(ckpt, entry, name, show)
  local tensor = ckpt:tensor(name)
  if not floating[tensor.dtype] then
    fail("%s: %s: expected f32, f64, f16 or bf16, found %s", ckpt.path, names.show(name), tensor.dtype)
  end
  local fits, expected = shapes.fit(entry, tensor.shape, show)
  if not fits then
    fail("%s: %s is %s; expected %s", ckpt.path, names.show(name), shapes.text(tensor.shape), expected)
  end
  local finite, at = tensor:finite()
  if not finite then
    fail("%s: %s: expected finite values, found another at element %d", ckpt.path, names.show(name), at)
  end
  return tensor
end

-- Walk the network with the file's tensors: parameters, tensors by name, sizes.
local function walk(ckpt, style, prefix, keys, by_key, eps)
  local list, tensors, used = {}, {}, {}
  for i, key in ipairs(keys) do list[i] = key.key end
  local n = { apart = style.apart, layers = names.count(list, style.layers), eps = eps,
    sizes = text_encoder.unknown_sizes() }
  local function show(name) return prefix .. style.in_file(name) end
  local function declare(entry)
    local key = style.in_file(entry.name)
    if not by_key[key] then refuse_missing(ckpt, key, prefix) end
    tensors[entry.name], used[key] = fitting(ckpt, entry, by_key[key], show), true
  end
  if n.layers == 0 then fail("%s: %s%sN: expected layers, found none", ckpt.path, names.show(prefix), style.layers) end
  local e = text_encoder.declare(parameters.new { declare = declare, present = function() return false end }, n)
  for _, key in ipairs(keys) do
    if not used[key.key] then
      fail("%s: %s: unknown tensor; expected those of a CLIP text encoder", ckpt.path, names.show(key.name))
    end
  end
  local sizes = {}
  for name, size in pairs(n.sizes) do sizes[name] = size.unknown.size end
  return e, tensors, sizes, n.layers
end

-- ---- what no tensor tells ----

-- An option against what a file says: one of them, or nil.
local function agreed(option, asked, told, path)
  if asked and told and asked ~= told then
    fail("%s %s: expected %s, as %s says", option, tostring(asked):gsub("_", "-"), tostring(told):gsub("_", "-"), path)
  end
  return asked or told
end

-- The activation of a TorchScript program, by the class of the module between the maps.
local function of_program(ckpt, prefix)
  if not ckpt.container:find "^TorchScript" then return nil end
  local class = ckpt.metadata[prefix .. "transformer.resblocks.0.mlp.gelu"]
  return class and class:find "%.GELU$" and "gelu" or "quick_gelu"
end

-- From this width on, published encoders have a head for each 64.
local PUBLISHED, HEAD = 512, 64

local function heads_of(ckpt, asked, told, width)
  local heads = agreed("--heads", asked, told and told.heads, told and told.path)
  if not heads and width >= PUBLISHED and width % HEAD == 0 then heads = width // HEAD end
  if not heads then
    fail("%s: expected --heads N, found none: no tensor tells the heads of an encoder of width %d", ckpt.path, width)
  end
  if width % heads ~= 0 then
    fail("%s: %s %d: expected a number that divides the width, %d", ckpt.path, asked and "--heads"
      or told and told.path .. ": heads" or "heads", heads, width)
  end
  return heads
end

local function activation_of(ckpt, asked, told, prefix)
  local program = of_program(ckpt, prefix)
  local activation = agreed("--activation", asked, told and told.activation or program, told and told.path or ckpt.path)
  if activation then return activation end
  fail("%s: expected --activation quick-gelu or gelu, found none: no tensor tells. OpenAI's models, and those with "
    .. "quickgelu in their name, have quick-gelu; most others, as LAION's, gelu", ckpt.path)
end

--- The text encoder of a file.
-- @param options heads, activation ("gelu", "quick_gelu"), weights_key, each nil unless asked for
-- @return { path, ckpt, parameters, tensor = by name, layers, width, mlp, vocabulary, context, embedding, heads,
-- activation, last = the end's token, nil for the highest of a text }
function clip.load(path, options)
  local ckpt = shards.open(path, options.weights_key, true)
  local list = ckpt:names()
  local style, prefix = style_of(ckpt, list)
  local keys, by_key = parts_of(ckpt, list, style, prefix)
  local told
  if not ckpt.container:find "^TorchScript" then told = style.config(path) end
  local e, tensors, sizes, layers = walk(ckpt, style, prefix, keys, by_key, told and told.eps or EPS)
  local m = { path = path, ckpt = ckpt, parameters = e, tensor = tensors, layers = layers,
    last = told and told.last, heads = heads_of(ckpt, options.heads, told, sizes.width),
    activation = activation_of(ckpt, options.activation, told, prefix) }
  for name, size in pairs(sizes) do m[name] = size end
  return m
end

--- What it is, in words.
function clip.spoken(m)
  return ("%d layers, width %d, heads %d, %s; %d tokens of %d, embedding %d"):format(m.layers, m.width, m.heads,
    m.activation:gsub("_", "-"), m.context, m.vocabulary, m.embedding)
end

--- The projection of a file [t,embedding], which its only tensor is, or the only one with projection in its name.
function clip.projection(path, m)
  local ckpt = shards.open(path)
  local list = ckpt:names()
  if #list > 1 then
    local named = {}
    for _, name in ipairs(list) do
      if name:lower():find "proj" then named[#named + 1] = name end
    end
    if #named ~= 1 then
      fail("%s: expected one matrix [t,%d], found %s", path, m.embedding, closed.list(list):sub(1, 200))
    end
    list = named
  end
  local tensor = ckpt:tensor(list[1])
  if not floating[tensor.dtype] or #tensor.shape ~= 2 or tensor.shape[2] ~= m.embedding then
    fail("%s: %s is %s %s; expected a matrix [t,%d] of floats, t the width of the model that it is for", path,
      names.show(list[1]), tensor.dtype, shapes.text(tensor.shape), m.embedding)
  end
  if not tensor:finite() then fail("%s: %s: expected finite values, found others", path, names.show(list[1])) end
  return tensor
end

return clip

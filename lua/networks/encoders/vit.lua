-- SPDX-License-Identifier: Apache-2.0
--- SAM's image encoder: a ViT with windowed and global attention, decomposed relative positions, and MSA's adapters
-- (Kirillov et al. 2023; Li et al. 2022; Wu et al. 2023), or SAM-Med2D's.

local adapter = require "networks.adapter"
local conv_adapter = require "networks.conv_adapter"
local deferred = require "import.deferred"
local checkpoint = require "networks.vit.checkpoint"
local find_grid = require "import.depth".grid
local moves = require "graph.moves"
local neck = require "networks.neck"
local names = require "import.names"
local segment = require "lower.segment"
local tensor = require "msagen.tensor"
local weights = require "graph.weights"

local EPS = 1e-6 -- also of the blocks, unless a program has another

local function block(p, n, i)
  local s = n.sizes
  local eps = n.encoder_norm_eps or EPS
  local b = { norm1 = p:norm("norm1", s.dim, eps) }
  if n.relative ~= false then
    local rows = p:size("table", n.table_rows and n.table_rows(i))
    b.rel_pos_h = p:tensor("attn.rel_pos_h", rows, s.head)
    b.rel_pos_w = p:tensor("attn.rel_pos_w", rows, s.head)
  end
  b.qkv = p:linear("attn.qkv", 3 * s.dim, s.dim, "qkv")
  b.proj = p:linear("attn.proj", s.dim, s.dim)
  if n.encoder_adapters then
    b.mlp_adapter = adapter.declare(p, "MLP_Adapter", s.dim)
    b.space_adapter = adapter.declare(p, "Space_Adapter", s.dim)
    local depth = n.depth > 1 and { why = "depth branch" }
      or { fate = "dead", why = "depth branch; a 2-D build has none", optional = true }
    b.depth_adapter = adapter.declare(p:with(depth), "Depth_Adapter", s.dim)
  end
  if n.conv_adapters then b.conv_adapter = conv_adapter.declare(p, s.dim) end
  b.norm2 = p:norm("norm2", s.dim, eps)
  b.lin1 = p:linear("mlp.lin1", s.mlp, s.dim, "plain")
  b.lin2 = p:linear("mlp.lin2", s.dim, s.mlp, "plain")
  return b
end

--- dim, head: width of the tokens and of one head; mlp: of what is between an MLP's maps; patch, position: sides of a
-- patch and of the table of positions, or its rows where it begins with a class token's.
local vit = { sizes = { "dim", "head", "mlp", "patch", "position" }, describe = checkpoint.describe,
  adapt = checkpoint.adapt, prune = checkpoint.prune, warnings = require "networks.vit.warnings" }

--- Fields of the description in words.
vit.words = { { "width of the encoder", "dim" }, { "number of blocks", "blocks" },
  { "heads of the encoder", "heads" }, { "window", "window" }, { "global blocks", "global_list" },
  { "mlp of the encoder", "mlp" } }

function vit.counts(keys) return { blocks = math.max(1, names.count(keys, "image_encoder.blocks.")) } end

--- Declare the encoder's tensors. @param n the network (networks/sam.lua), with table_rows(i), rows of block i's
-- relative positions, where sizes are known @return its parameters
function vit.declare(p, n)
  local s = n.sizes
  local encoder = { patch = p:convolution("patch_embed.proj", s.dim, 3, s.patch, s.dim), blocks = {},
    position = n.class_position and p:tensor("pos_embed", 1, s.position, s.dim)
      or p:tensor("pos_embed", 1, s.position, s.position, s.dim) }
  for i = 0, n.blocks - 1 do encoder.blocks[i + 1] = block(p:at("blocks." .. i), n, i) end
  encoder.neck = neck.declare(p, s.dim, s.out)
  return encoder
end

-- q, k and v of the rows of x.
local function projections(t, b, x, C)
  local list = {}
  for i, part in ipairs { "q", "k", "v" } do
    local name = b.qkv.weight.name:gsub("qkv%.weight$", part)
    list[i] = t:outputs(x, b.qkv, name, (i - 1) * C, C)
  end
  return table.unpack(list)
end

-- The row that places beyond the grid are filled with, of one that trains.
local function filling(t, b, C) return t.g:reshape(t:parameter(b.norm1.bias), { to = { 1, C } }) end

-- Key and value of such a place where what they are made of trains: by the maps of the blocks. A build of what was
-- trained computes the same in double precision.
local function live_padding(t, b, C)
  local function map(name, first)
    return t:outputs(filling(t, b, C), b.qkv, b.qkv.weight.name:gsub("qkv%.weight$", name), first, C)
  end
  return map("k_pad", C), map("v_pad", 2 * C)
end

-- Key and value of a window's places beyond the grid, for each the same: the maps of the row that they are filled with.
local function padding(t, b, C, filled)
  local pair = b.qkv.pair or {}
  if filled and t:trains(b.norm1.bias, b.qkv.weight, b.qkv.bias, pair.a, pair.b) then return live_padding(t, b, C) end
  if t:trains(b.qkv.bias) then
    return t.g:reshape(t:part(b.qkv.bias, nil, C, C), { to = { 1, C } }),
      t.g:reshape(t:part(b.qkv.bias, nil, 2 * C, C), { to = { 1, C } })
  end
  local weight, bias = t.model.tensor[b.qkv.weight.name], t:parameter(b.qkv.bias)
  local row = t.model.tensor[b.norm1.bias.name]
  local function map(name, first)
    local sources = filled and segment.of(row, deferred.sources(weight, first, C), bias and bias.tensor)
      or segment.of(bias and bias.tensor)
    local function unbiased()
      if not filled then return tensor.zeros { 1, C } end
      return row:reshape { 1, C }:matmul(weight:slice(1, first, C):transpose())
    end
    local made = t.g:constant(b.qkv.weight.name:gsub("qkv%.weight$", name), { 1, C }, function()
      local y = bias and bias.tensor:slice(1, first, C):reshape { 1, C } or tensor.zeros { 1, C }
      return filled and unbiased():add(y) or y
    end, sources)
    made.unbiased = unbiased
    made.unbiased_sources = filled and segment.of(row, deferred.sources(weight, first, C)) or {}
    return made
  end
  return map("k_pad", C), map("v_pad", 2 * C)
end

-- A table at another length where it trains: what resampling weighs its rows with, times the table.
local function live_resampled(g, value, length)
  local have = value.shape[1]
  local weights = g:constant(value.name:gsub("rel_pos", "depth_weights"), { length, have }, function()
    local ones = {}
    for i = 1, have * have do ones[i] = (i - 1) % (have + 1) == 0 and 1 or 0 end
    return tensor.from(ones, { have, have }):resample_linear(length)
  end, {})
  return g:linear(weights, g:permute(value, { order = { 2, 1 } }), nil, nil, { value = true })
end

-- Along the depth, with the same attention: over runs of the windowed entries, or over the slices of each place.
local function depth_branch(t, b, n, window, rel_h, rel_w)
  local g, m = t.g, t.model
  local C, along = m.encoder.dim, m.volumes == "runs" and window and (m.grid + window - 1) // window or 1
  local side, length = along > 1 and window or m.grid,
    m.volumes == "slices" and m.depth or m.chunk or m.depth * along * along
  local function index() return (moves.sequences(m.depth, m.grid, along, side, length)) end
  local function back() return select(2, moves.sequences(m.depth, m.grid, along, side, length)) end
  local name = b.norm1.bias.name:gsub("norm1%.bias$", "depth_pad")
  local fill
  if m.pad == "norm1_bias" and t:trains(b.norm1.bias) then fill = filling(t, b, C)
  elseif m.pad == "norm1_bias" then
    local bias = m.tensor[b.norm1.bias.name]
    fill = g:constant(name, { 1, C }, function() return bias:reshape { 1, C } end, segment.of(bias))
  else
    fill = g:constant(name, { 1, C }, function() return tensor.zeros { 1, C } end, {})
  end
  local height, width = find_grid(length)
  local function resampled(declaration, value, places)
    if not value or value.shape[1] == 2 * places - 1 then return value end
    local table_of = value.tensor
    if t:trains(declaration) then return live_resampled(g, value, 2 * places - 1) end
    return g:constant(value.name:gsub("rel_pos", "depth_rel_pos"), { 2 * places - 1, value.shape[2] },
      function() return table_of:resample_linear(2 * places - 1) end, segment.of(table_of))
  end
  local x = g:gather(n, fill, { index = index,
    to = { m.depth * along * along * side * side // length, length, C },
    sequences = { slices = m.depth, grid = m.grid, windows = along, side = side, length = length } })
  local q, k, v = projections(t, b, x, C)
  local o = g:attention(q, k, v, resampled(b.rel_pos_h, rel_h, height), resampled(b.rel_pos_w, rel_w, width), nil, nil,
    { heads = m.encoder.heads, grid = { height, width } })
  local y = adapter.compute(t, b.depth_adapter, t:linear(o, b.proj), m.adapter_activation)
  return g:gather(y, nil, { index = back, to = n.shape })
end

-- Attention of a block. @param how nil: as block number `i` of the encoder has it; else heads: all rows see each other,
-- wherever they lie
local function attention(t, b, i, x, how)
  local g, m = t.g, t.model
  local C = x.shape[#x.shape]
  local n = t:norm(x, b.norm1)
  if how then
    local q, k, v = projections(t, b, n, C)
    local y = t:linear(g:attention(q, k, v, nil, nil, nil, nil, { heads = how.heads }), b.proj)
    if b.space_adapter then y = g:add(y, adapter.compute(t, b.space_adapter, y, m.adapter_activation)) end
    return g:add(x, y)
  end
  local window = not m.encoder.global[i] and m.encoder.window > 0 and m.encoder.window or nil
  local rel_h, rel_w = t:parameter(b.rel_pos_h), t:parameter(b.rel_pos_w)
  local k_pad, v_pad
  if window and m.grid % window ~= 0 then k_pad, v_pad = padding(t, b, C, m.pad == "norm1_bias") end
  local q, k, v = projections(t, b, n, C)
  local o = g:attention(q, k, v, rel_h, rel_w, k_pad, v_pad, { heads = m.encoder.heads, grid = { m.grid, m.grid },
    window = window })
  local y = t:linear(o, b.proj)
  if b.space_adapter then y = g:add(y, adapter.compute(t, b.space_adapter, y, m.adapter_activation)) end
  if m.depth > 1 and b.depth_adapter then y = g:add(y, depth_branch(t, b, n, window, rel_h, rel_w)) end
  return g:add(x, y)
end

local function mlp(t, b, x)
  local g, m = t.g, t.model
  local n = t:norm(x, b.norm2)
  local y = t:linear(g:act(t:linear(n, b.lin1), { f = "gelu" }), b.lin2)
  if b.mlp_adapter then y = g:add(y, adapter.compute(t, b.mlp_adapter, n, m.adapter_activation),
    { scale = m.adapter_scale }) end
  return g:add(x, y)
end

-- The positions [grid^2,C] of all places.
local function positions(t, e)
  local g, m = t.g, t.model
  local shape = { m.grid * m.grid, m.encoder.dim }
  if t:trains(e.position) then return g:reshape(t:parameter(e.position), { to = shape }) end
  local position = m.tensor[e.position.name]
  return g:constant(e.position.name, shape, function() return position:reshape(shape) end, segment.of(position))
end

-- The patches of an image as they are embedded, before positions: [slices,grid,grid,C]. Inputs: image.
-- @param name of an input [3 slices grid^2,patch^2] in its place, or nil: the pixels of the patches of a colour, a row
-- a patch, one colour below the other
local function patches(t, e, name)
  local g, m = t.g, t.model
  local C, P, places = m.encoder.dim, m.patch, m.depth * m.grid * m.grid
  if not name then
    local image = g:input("image", { m.depth, m.image_size, m.image_size, 3 })
    return g:conv(image, t:parameter(e.patch.weight), t:parameter(e.patch.bias), { stride = P, sums = "channel" })
  end
  local pixels = g:input(name, { 3 * places, P * P })
  local w, bias, sum = t:parameter(e.patch.weight), t:parameter(e.patch.bias), nil
  t.colours = t.colours or weights.parts(g, w, "channel", { 2, 1, 3, 4 }, 3, { C, P * P }, function(value)
    return t.live(value.name)
  end)
  for colour = 0, 2 do
    local one = g:linear(g:slice(pixels, { first = colour * places, count = places }), t.colours(colour),
      colour == 0 and bias or nil)
    sum = sum and g:add(sum, one) or one
  end
  return g:reshape(sum, { to = { m.depth, m.grid, m.grid, C } })
end

-- One block. @param label what its layers begin with @param i its number, from 0 @param how nil, or { heads }: rows
-- that are no grid, all of which see each other; then there are no relative positions
local function whole_block(t, b, label, i, x, how)
  t.g:layer(label .. "attention")
  x = attention(t, b, i, x, how)
  local begun = b.conv_adapter and conv_adapter.begin(t, b.conv_adapter, x, b.norm2, label)
  t.g:layer(label .. "mlp")
  x = mlp(t, b, x)
  return begun and conv_adapter.finish(t, b.conv_adapter, x, begun, label) or x
end

-- All blocks. @param x [slices,grid,grid,C]; with `how` [rows,C]
local function blocks(t, e, x, how)
  for i, b in ipairs(e.blocks) do x = whole_block(t, b, ("block_%02d_"):format(i - 1), i - 1, x, how) end
  return x
end

--- What pre-training puts together in other ways.
vit.parts = { patches = patches, positions = positions, block = whole_block, blocks = blocks }

--- The embedding [slices,grid,grid,out] of the image that is given. @param t networks/terms.lua @param e what declare()
-- gave
function vit.compute(t, e)
  local g = t.g
  g:layer "patch_embed"
  local x = g:named("x", g:add(patches(t, e), positions(t, e)))
  return neck.compute(t, e.neck, blocks(t, e, x))
end

local function join(list)
  local texts = {}
  for i, item in ipairs(list) do texts[i] = tostring(item) end
  return table.concat(texts, ",")
end

function vit.spoken(e, out)
  local kind
  if not e.global_list then kind = "which blocks are global is not in the file"
  elseif #e.global_list == e.blocks then kind = "all blocks global"
  elseif #e.global_list == 0 then kind = ("window %d, no global block"):format(e.window)
  else kind = ("window %d, global blocks %s"):format(e.window, join(e.global_list)) end
  return ("%d blocks, width %d, heads %d of %d, mlp %d, %s; out %d"):format(e.blocks, e.dim, e.heads, e.dim // e.heads,
    e.mlp, kind, out)
end

function vit.facts(e)
  return { width = e.dim, blocks = e.blocks, heads = e.heads, mlp = e.mlp, window = e.window,
    global_blocks = e.global_list }
end

-- EfficientSAM's have no windows: all blocks are global.
local ALL = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }

--- The published encoders. `global` is 0-based; `dialect` is whose they are, where that is not sam; everything else is
-- common to them.
vit.architectures = {
  vit_t = { dim = 192, blocks = 12, heads = 3, global = ALL, dialect = "efficient-sam" },
  vit_s = { dim = 384, blocks = 12, heads = 6, global = ALL, dialect = "efficient-sam" },
  vit_b = { dim = 768, blocks = 12, heads = 12, global = { 2, 5, 8, 11 } },
  vit_l = { dim = 1024, blocks = 24, heads = 16, global = { 5, 11, 17, 23 } },
  med2d = { dim = 768, blocks = 12, heads = 12, global = { 2, 5, 8, 11 }, dialect = "sam-med2d" },
  vit_h = { dim = 1280, blocks = 32, heads = 16, global = { 7, 15, 23, 31 } },
}

-- Rows of positions behind a class token's, in every file.
local CLASS_POSITIONS = 1 + 14 * 14

--- @param shape dim, blocks, heads, global, patch, window, resolution
function vit.synthetic(shape, dialect)
  local C, grid, is_global = shape.dim, shape.resolution // shape.patch, {}
  for i = 0, shape.blocks - 1 do is_global[i] = dialect.all_global end
  for _, i in ipairs(shape.global) do is_global[i] = true end
  return { blocks = shape.blocks, table_rows = function(i) return 2 * (is_global[i] and grid or shape.window) - 1 end,
    sizes = { dim = C, head = C // shape.heads, mlp = 4 * C, patch = shape.patch,
      position = dialect.class_position and CLASS_POSITIONS or dialect.position_grid or grid } }
end

return vit

-- SPDX-License-Identifier: Apache-2.0
--- TinyViT (Wu et al. 2022) as MobileSAM has it (Zhang et al. 2023): convolutions to a quarter of the image's side,
-- inverted residual blocks of depthwise convolutions, then three stages of attention in windows with a table of
-- distances, a depthwise convolution and an MLP; SAM's neck. Batch norms are folded into the convolutions before them.

local adapter = require "networks.adapter"
local deferred = require "import.deferred"
local fail = require "support.fail"
local moves = require "graph.moves"
local names = require "import.names"
local neck = require "networks.neck"
local segment = require "lower.segment"
local tensor = require "msagen.tensor"

local EPS, BATCH_NORM_EPS = 1e-5, 1e-5
local STAGES = 3 -- with attention, behind the first one
local STRIDES = { 2, 2, 1 } -- of the patch merging behind each stage
local MAX_SIDE = 16384 -- as in msagen run

local tinyvit = { sizes = { "kernel", "stem", "expanded", "width_0", "width_1", "width_2", "width_3", "mlp_1", "mlp_2",
  "mlp_3", "heads_1", "heads_2", "heads_3", "distances_1", "distances_2", "distances_3" } }

local function stage_name(s) return ("layers.%d"):format(s) end

function tinyvit.counts(keys)
  local counts = { depths = {} }
  for s = 0, STAGES do
    counts.depths[s] = math.max(1, names.count(keys, ("image_encoder.layers.%d.blocks."):format(s)))
  end
  return counts
end

-- ---- tensors ----

-- A convolution and the batch norm behind it, without a bias.
local function convolution(p, name, outputs, inputs, side)
  local at = p:at(name)
  local folded = at:with { why = "folded into the convolution before it" }
  return { weight = at:tensor("c.weight", outputs, inputs, side, side), gamma = folded:tensor("bn.weight", outputs),
    beta = folded:tensor("bn.bias", outputs), mean = folded:tensor("bn.running_mean", outputs),
    variance = folded:tensor("bn.running_var", outputs) }
end

local function inverted_residual(p, s)
  return { convolution(p, "conv1", s.expanded, s.width_0, 1), convolution(p, "conv2", s.expanded, 1, 3),
    convolution(p, "conv3", s.width_0, s.expanded, 1) }
end

local function merging(p, from, to)
  return { convolution(p, "conv1", to, from, 1), convolution(p, "conv2", to, 1, 3), convolution(p, "conv3", to, to, 1) }
end

-- Adapters and LoRA pairs are Medical SAM Adapter's (Wu et al. 2023).
local function block(p, n, stage)
  local s = n.sizes
  local C, mlp = s["width_" .. stage], s["mlp_" .. stage]
  local b = { table = p:tensor("attn.attention_biases", s["heads_" .. stage], s["distances_" .. stage]),
    norm1 = p:norm("attn.norm", C, EPS), qkv = p:linear("attn.qkv", 3 * C, C, "qkv"),
    proj = p:linear("attn.proj", C, C, "svd"),
    local_conv = convolution(p, "local_conv", C, 1, 3), norm2 = p:norm("mlp.norm", C, EPS),
    fc1 = p:linear("mlp.fc1", mlp, C, "plain"), fc2 = p:linear("mlp.fc2", C, mlp, "plain") }
  if n.encoder_adapters then
    b.space_adapter, b.mlp_adapter = adapter.declare(p, "Space_Adapter", C), adapter.declare(p, "MLP_Adapter", C)
    adapter.declare(p:with { fate = "dead", why = "the program cannot run its 3-D branch", optional = true },
      "Depth_Adapter", C)
  end
  return b
end

function tinyvit.declare(p, n)
  local s, at = n.sizes, p:at "patch_embed.seq"
  local e = { patch = { convolution(at, "0", s.stem, 3, s.kernel), convolution(at, "2", s.width_0, s.stem, s.kernel) },
    stages = {}, merging = {} }
  for stage = 0, STAGES do
    local q, blocks = p:at(stage_name(stage)), {}
    for i = 0, n.depths[stage] - 1 do
      local b = q:at("blocks." .. i)
      blocks[i + 1] = stage == 0 and inverted_residual(b, s) or block(b, n, stage)
    end
    e.stages[stage] = blocks
    if stage < STAGES then
      e.merging[stage] = merging(q:at "downsample", s["width_" .. stage], s["width_" .. stage + 1])
    end
  end
  e.neck = neck.declare(p, s.width_3, s.out)
  return e
end

-- ---- what a file tells ----

-- Sides of the stages' grids, from the picture's.
local function grids(size, kernel)
  local patch = kernel == 3 and 2 or 1
  local list = { [0] = (size // patch) // patch }
  for s = 1, STAGES do list[s] = (list[s - 1] + STRIDES[s] - 1) // STRIDES[s] end
  return list
end

local function windows_of(file)
  local value, list = file.value, {}
  for s = 1, STAGES do
    local side = math.tointeger(value["distances_" .. s] ^ 0.5)
    local name = ("image_encoder.layers.%d.blocks.0.attn.attention_biases"):format(s)
    if not side then
      fail("%s: %s is [%d,%d]; expected the square of a window's side, found %d", file.path, file.spell(name),
        value["heads_" .. s], value["distances_" .. s], value["distances_" .. s])
    end
    if value["width_" .. s] % value["heads_" .. s] ~= 0 then
      fail("%s: %s is [%d,%d]; expected a number of heads that divides the width %d, found %d", file.path,
        file.spell(name), value["heads_" .. s], value["distances_" .. s], value["width_" .. s], value["heads_" .. s])
    end
    list[s] = side
  end
  return list
end

function tinyvit.describe(file)
  local value, encoder = file.value, { kernel = file.value.kernel, widths = {}, heads = {}, windows = windows_of(file),
    depths = file.counts.depths }
  if value.kernel ~= 1 and value.kernel ~= 3 then
    fail("%s: %s: expected a convolution of 3 x 3 or 1 x 1, found %d x %d", file.path,
      file.spell "image_encoder.patch_embed.seq.0.c.weight", value.kernel, value.kernel)
  end
  for s = 0, STAGES do encoder.widths[s], encoder.heads[s] = value["width_" .. s], value["heads_" .. s] end
  local patch = value.kernel == 3 and 16 or 4
  local size = file.options.resolution or file.dialect.default_size
  if not size then
    return { encoder = encoder, patch = patch, choices = { { option = "--resolution", values = { "PX" },
      why = "nothing in the file tells the size that it was trained at" } } }
  end
  if math.type(size) ~= "integer" or size < patch or size % patch ~= 0 or size > MAX_SIDE then
    fail("--resolution %s: expected a multiple of %d up to %d, found %s", tostring(size), patch, MAX_SIDE,
      tostring(size))
  end
  encoder.grids = grids(size, value.kernel)
  return { encoder = encoder, patch = patch, size = size, grid = encoder.grids[STAGES], choices = {} }
end

-- A stage that is one window has no adapter of its attention.
local function is_one_window(encoder, s) return encoder.grids[s] == encoder.windows[s] end

function tinyvit.adapt(model, entries)
  local encoder = model.encoder
  for s = 1, encoder.grids and STAGES or 0 do
    for i = 0, encoder.depths[s] - 1 do
      local prefix = ("image_encoder.%s.blocks.%d.Space_Adapter."):format(stage_name(s), i)
      for _, last in ipairs { "D_fc1.weight", "D_fc1.bias", "D_fc2.weight", "D_fc2.bias" } do
        local entry = entries[prefix .. last]
        if entry and is_one_window(encoder, s) then entry.fate, entry.why = "dead", "the stage is one window" end
      end
    end
  end
end
function tinyvit.prune() return {} end
function tinyvit.warnings() end

-- ---- what is computed ----

-- What follows, of tensors of which some train: the statistics stay as they are, and each operation rounds.
local function live_folded(t, c, order, shape)
  local g, m, n = t.g, t.model, shape[1]
  local base = c.weight.name:gsub("%.c%.weight$", "")
  local function constant(name, value)
    return g:constant(base .. name, { 1, 1, 1, n }, function()
      local list = m.tensor[c.variance.name]:totable()
      local mean = m.tensor[c.mean.name]:totable()
      for i, v in ipairs(list) do list[i] = value(1 / math.sqrt(v + BATCH_NORM_EPS), mean[i]) end
      return tensor.from(list, { 1, 1, 1, n })
    end, segment.of(m.tensor[c.variance.name], m.tensor[c.mean.name]))
  end
  local function row(declaration) return g:reshape(t:parameter(declaration), { to = { 1, 1, 1, n } }) end
  local inner, gamma = shape[2], row(c.gamma)
  local _, first, second, third = table.unpack(order or { 1, 2, 3, 4 })
  local w = g:permute(t:parameter(c.weight), { order = { first, second, third, 1 } }) -- outputs last
  local scaled = g:multiply(g:reshape(w, { to = { 1, 1, inner, n } }),
    g:multiply(gamma, constant(".rstd", function(rstd) return rstd end)))
  local shift = g:multiply(gamma, constant(".shift", function(rstd, mean) return -mean * rstd end))
  return g:permute(g:reshape(scaled, { to = { inner, n } }), { order = { 2, 1 } }),
    g:reshape(g:add(row(c.beta), shift), { to = { n } })
end

-- A convolution with its batch norm: w gamma / sqrt(v + eps), and beta - mean gamma / sqrt(v + eps).
-- @param order how the weight's dimensions are to stand  @param shape the weight's then
-- @return constants: weight, bias
local function folded(t, c, order, shape)
  local m = t.model
  if t:trains(c.weight, c.gamma, c.beta) then return live_folded(t, c, order, shape) end
  local function of(declaration) return m.tensor[declaration.name] end
  local base = c.weight.name:gsub("%.c%.weight$", "")
  local function factors()
    local gamma, variance, list = of(c.gamma):totable(), of(c.variance):totable(), {}
    for i, v in ipairs(variance) do list[i] = gamma[i] / math.sqrt(v + BATCH_NORM_EPS) end
    return list
  end
  local weight = t.g:constant(base .. ".weight", shape, function()
    local w = order and of(c.weight):permute(order) or of(c.weight)
    local each, list = factors(), w:reshape { w:numel() }:totable()
    local count = #list // #each
    for i = 1, #list do list[i] = list[i] * each[(i - 1) // count + 1] end
    return tensor.from(list, shape)
  end, segment.of(of(c.weight), of(c.gamma), of(c.variance)))
  local bias = t.g:constant(base .. ".bias", { shape[1] }, function()
    local each, beta, mean = factors(), of(c.beta):totable(), of(c.mean):totable()
    for i, factor in ipairs(each) do beta[i] = beta[i] - mean[i] * factor end
    return tensor.from(beta, { shape[1] })
  end, segment.of(of(c.beta), of(c.mean), of(c.gamma), of(c.variance)))
  return weight, bias
end

-- A convolution of 1 x 1.
local function pointwise(t, c, x)
  local shape = t.model.tensor[c.weight.name].shape
  return t.g:linear(x, folded(t, c, nil, { shape[1], shape[2] }))
end

-- A dense one: places outside, channels inside.
local function dense(t, c, x, stride)
  local shape = t.model.tensor[c.weight.name].shape
  local side = shape[3]
  local taps = t.g:unfold(x, { side = side, stride = stride })
  return t.g:linear(taps, folded(t, c, { 1, 3, 4, 2 }, { shape[1], side * side * shape[2] }))
end

local function depthwise(t, c, x, stride)
  local shape = t.model.tensor[c.weight.name].shape
  local weight, bias = folded(t, c, nil, { shape[1], shape[3] * shape[4] })
  return t.g:depthwise_conv(x, weight, bias, { side = shape[3], stride = stride })
end

local function gelu(t, x) return t.g:act(x, { f = "gelu" }) end

-- The rows of a part of qkv, of one that trains.
local function live_part(t, declaration, heads, number)
  local whole = t:parameter(declaration)
  local C, inputs, index = whole.shape[1] // 3, whole.shape[2], {}
  local d = C // heads
  for i = 0, C - 1 do index[i + 1] = (3 * (i // d) + number) * d + i % d end
  local rows = t.g:gather(t.g:reshape(whole, { to = { 3 * C, inputs or 1 } }), nil,
    { index = function() return index end, to = { C, inputs or 1 } })
  return inputs and rows or t.g:reshape(rows, { to = { C } })
end

-- A part of qkv, whose rows go by head: q, k and v of head 0, of head 1, ...
local function projection(t, b, x, heads, part)
  local number, map = ({ q = 0, k = 1, v = 2 })[part], b.qkv
  local function of(declaration)
    local whole = t:parameter(declaration).tensor
    local C = whole.shape[1] // 3
    local d, shape = C // heads, { C, whole.shape[2] }
    if t:trains(declaration) then return live_part(t, declaration, heads, number) end
    local function head(h) return whole:slice(1, (3 * h + number) * d, d) end
    local function rows(first, count)
      assert(first % d == 0 and count == d, "a head at a time")
      return head(first // d)
    end
    return t.g:constant(declaration.name:gsub("qkv", part), shape, function()
      local list = {}
      for h = 0, heads - 1 do
        local values = head(h):reshape { head(h):numel() }:totable()
        table.move(values, 1, #values, #list + 1, list)
      end
      return tensor.from(list, shape)
    end, deferred.sources(whole), rows)
  end
  return t.g:linear(x, of(map.weight), of(map.bias))
end

-- Windows of a grid as rows one behind the other, zeros beyond its edge; and back.
local function windowed(t, x, grid, side)
  local m, across = t.model, (grid + side - 1) // side
  local zero = t.g:constant("zero", { 1, x.shape[4] }, function() return tensor.zeros { 1, x.shape[4] } end, {})
  local function index() return (moves.whole_windows(m.depth, grid, side)) end
  local function back() return select(2, moves.whole_windows(m.depth, grid, side)) end
  return t.g:gather(x, zero, { index = index, to = { m.depth * across * across, side * side, x.shape[4] } }),
    function(y) return t.g:gather(y, nil, { index = back, to = x.shape }) end
end

local function attention(t, b, x, stage)
  local e = t.model.encoder
  local inside, back = windowed(t, x, e.grids[stage], e.windows[stage])
  local n, maps = t:norm(inside, b.norm1), {}
  for i, part in ipairs { "q", "k", "v" } do maps[i] = projection(t, b, n, e.heads[stage], part) end
  local o = t.g:table_attention(maps[1], maps[2], maps[3], t:parameter(b.table), { heads = e.heads[stage],
    window = e.windows[stage] })
  local y = t:linear(o, b.proj)
  if b.space_adapter and not is_one_window(e, stage) then
    y = t.g:add(y, adapter.compute(t, b.space_adapter, y, t.model.adapter_activation))
  end
  return t.g:add(x, back(y))
end

local function mlp(t, b, x)
  local y = t:linear(gelu(t, t:linear(t:norm(x, b.norm2), b.fc1)), b.fc2)
  if b.mlp_adapter then
    y = t.g:add(y, adapter.compute(t, b.mlp_adapter, x, t.model.adapter_activation), { scale = t.model.adapter_scale })
  end
  return t.g:add(x, y)
end

-- Memory of a stage's tokens: rows of each are of another width.
local function memory(stage) return "x_" .. stage end

local function first_stage(t, e, x)
  for i, b in ipairs(e.stages[0]) do
    t.g:layer(("stage_0_block_%d"):format(i - 1))
    local y = gelu(t, depthwise(t, b[2], gelu(t, pointwise(t, b[1], x)), 1))
    -- Not in place: rows are made of rows that would be gone.
    x = t.g:apart(t.g:named(memory(0) .. (i % 2 == 1 and "_next" or ""), gelu(t, t.g:add(x, pointwise(t, b[3], y)))))
  end
  return x
end

local function stage(t, e, s, x)
  for i, b in ipairs(e.stages[s]) do
    local name = ("stage_%d_block_%d_"):format(s, i - 1)
    t.g:layer(name .. "attention")
    x = attention(t, b, x, s)
    t.g:layer(name .. "conv")
    x = depthwise(t, b.local_conv, x, 1)
    t.g:layer(name .. "mlp")
    x = mlp(t, b, x)
  end
  return x
end

function tinyvit.compute(t, e)
  local g, m = t.g, t.model
  local stride = m.encoder.kernel == 3 and 2 or 1
  g:layer "pixels"
  local x = g:named("pixels", g:pixels(g:input("image", { m.depth, m.image_size, m.image_size, 3 })))
  g:layer "patch_embed_0"
  x = g:named("stem", gelu(t, dense(t, e.patch[1], x, stride)))
  g:layer "patch_embed_1"
  x = first_stage(t, e, g:named(memory(0), dense(t, e.patch[2], x, stride)))
  for s = 1, STAGES do
    local c = e.merging[s - 1]
    g:layer(("merging_%d"):format(s - 1))
    local y = gelu(t, depthwise(t, c[2], gelu(t, pointwise(t, c[1], x)), STRIDES[s]))
    x = stage(t, e, s, g:named(memory(s), pointwise(t, c[3], y)))
  end
  return neck.compute(t, e.neck, x)
end

-- ---- in words ----

local function join(list, first)
  local words = {}
  for s = first, STAGES do words[#words + 1] = tostring(list[s]) end
  return table.concat(words, ",")
end

function tinyvit.spoken(e, out)
  return ("TinyViT, %s blocks, widths %s, heads %s, windows %s; out %d"):format(join(e.depths, 0), join(e.widths, 0),
    join(e.heads, 1), join(e.windows, 1), out)
end

function tinyvit.facts(e)
  local blocks = 0
  for s = 0, STAGES do blocks = blocks + e.depths[s] end
  return { width = e.widths[STAGES], blocks = blocks, heads = e.heads[STAGES], window = e.windows[STAGES] }
end

tinyvit.words = { { "convolution of patches", "kernel" } }

--- The published encoder; widths, blocks, heads and windows of the stages, from the first on.
tinyvit.architectures = {
  tiny_vit = { widths = { 64, 128, 160, 320 }, depths = { 2, 2, 6, 2 }, heads = { 2, 4, 5, 10 },
    windows = { 7, 7, 14, 7 }, dialect = "mobile-sam" },
}

--- @param shape widths, depths, heads, windows
function tinyvit.synthetic(shape, dialect)
  local first = shape.widths[1]
  local sizes, depths = { kernel = (dialect.marks.stem or { 3 })[1], stem = first // 2, expanded = 4 * first }, {}
  for s = 0, STAGES do
    local C = shape.widths[s + 1]
    depths[s], sizes["width_" .. s], sizes["mlp_" .. s] = shape.depths[s + 1], C, 4 * C
    sizes["heads_" .. s], sizes["distances_" .. s] = shape.heads[s + 1], shape.windows[s + 1] ^ 2 // 1 | 0
  end
  return { depths = depths, sizes = sizes }
end

return tinyvit

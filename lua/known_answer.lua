-- SPDX-License-Identifier: Apache-2.0
--- The known answer of msa_self_test: what the build's functions give on a fixed pattern with its own weights, computed here by the naive
-- kernels and on the device by the generated ones (templates/known_answer.c). Their CRC-32C must agree, since the arithmetic is defined to the bit.
-- Each kernel runs once, on few tokens where it takes a block or a window; patch embedding, neck and decoder run whole. Matrices repeat a few
-- rows over and over, so that little has to be computed here of what is much there.
local branch = require "layers.depth_branch"
local inputs = require "graph.inputs"
local interpret = require "interpret"
local interpreter = require "graph.interpreter"
local kernels = require "kernels"
local network = require "network"
local pictures = require "pictures"
local sam = require "networks.sam"
local tensor = require "msagen.tensor"

local known = {}

known.PERIOD = 11 -- rows of a pattern: nothing that tiles, vectors or grids have
known.FIRST = { x = 0, o = 1 << 20, depth = 1 << 21 } -- where the pattern of each matrix begins
known.IMAGE = { width = 11, height = 7 }
known.SMALL = { width = 5, height = 3 } -- what it is also resized to
known.PROMPTS = {
  { points = { { 3.25, 1.5, 1 } } },
  { points = { { 3.25, 1.5, 1 }, { 7.5, 6, 0 }, { 0, 0, -1 } }, box = { 1.25, 0.5, 9.75, 6.5 }, mask = true, text = true },
}
known.ENLARGED = { side = 12, squares = { 0, 40 }, width = 23, height = 17 }

--- Byte i of the image, and of what follows it in a volume.
function known.pixel(i) return (i * 2654435761 & 0xffffffff) >> 24 end

-- Some of n places: the first, one in the middle, the last.
local function samples(n)
  local list, seen = {}, {}
  for _, i in ipairs { 0, n // 2, n - 1 } do
    if not seen[i] then list[#list + 1] = i end
    seen[i] = true
  end
  return list
end

-- Tokens of a grid in the first and the last slice.
local function token_samples(model)
  local g, list = model.grid, {}
  for _, slice in ipairs(samples(model.depth)) do
    for _, t in ipairs { 0, g * (g // 2) + g // 3, g * g - 1 } do list[#list + 1] = slice * g * g + t end
  end
  return list
end

-- Layers of a kind, one for each kernel that `name` says is theirs.
local function each_kernel(graph, kind, name)
  local list, seen = {}, {}
  for _, L in ipairs(graph.fused) do
    local kernel = L.kind == kind and name(L)
    if kernel and not seen[kernel] then
      seen[kernel] = true
      list[#list + 1] = L
    end
  end
  return list
end

local function window_list(graph)
  local list, seen = {}, {}
  for _, L in ipairs(graph.fused) do
    for _, kind in ipairs(L.kind == "encoder_attention" and not L.segment.pieces and L.env.kinds or {}) do
      if not seen[kind.name] then
        seen[kind.name] = true
        local g, side, places, tokens = L.env.grid, L.env.side, {}, {}
        for i, at in ipairs(samples(kind.height * kind.width)) do
          local y, x = at // kind.width, at % kind.width
          places[i], tokens[i] = y * side + x, y * g + x
        end
        -- The last head, so that what is a head's own counts.
        list[#list + 1] = { layer = L, kind = kind, head = L.env.heads - 1, origin = kind.y0 * side * g + kind.x0 * side, places = places, tokens = tokens }
      end
    end
  end
  return list
end

-- Attention layers whose weights come in pieces, one for each set of windows' kernels: tokens of every kind of window.
local function whole_list(graph)
  local list, seen = {}, {}
  for _, L in ipairs(graph.fused) do
    local first = L.kind == "encoder_attention" and L.segment.pieces and L.env.kinds[1].name
    if first and not seen[first] then
      seen[first] = true
      local g, side, tests, tokens = L.env.grid, L.env.side, {}, {}
      for i, kind in ipairs(L.env.kinds) do
        local test = { kind = kind, origin = kind.y0 * side * g + kind.x0 * side, places = {}, tokens = {} }
        for k, at in ipairs(samples(kind.height * kind.width)) do
          local y, x = at // kind.width, at % kind.width
          test.places[k], test.tokens[k] = y * side + x, test.origin + y * g + x
          tokens[#tokens + 1] = test.tokens[k]
        end
        tests[i] = test
      end
      list[#list + 1] = { layer = L, kinds = tests, tokens = tokens }
    end
  end
  return list
end

-- A unit of the depth branch: the last one, at whose places windows hang over the edge where any do.
local function depth_list(graph)
  local list = {}
  for i, L in ipairs(each_kernel(graph, "encoder_attention", function(L) return L.env.depth and L.env.depth.kernel end)) do
    local depth, g = L.env.depth, L.env.grid
    local unit, sequences, tokens = depth.units - 1, {}, {}
    local run, place = unit // depth.groups, unit % depth.groups * depth.places
    for _, p in ipairs(depth.places > 1 and { 0, depth.places - 1 } or { 0 }) do
      local sequence, inside = {}, {}
      for entry = run * depth.length, (run + 1) * depth.length - 1 do
        local slice, window = entry // (depth.windows * depth.windows), entry % (depth.windows * depth.windows)
        local y, x = window // depth.windows * depth.side + place // depth.side, window % depth.windows * depth.side + place % depth.side + p
        local token = y < g and x < g and math.tointeger((slice * g + y) * g + x)
        sequence[#sequence + 1] = token
        if token then inside[#inside + 1] = #sequence end
      end
      for _, at in ipairs(#inside > 1 and { inside[1], inside[#inside] } or inside) do tokens[#tokens + 1] = sequence[at] end
      sequences[#sequences + 1] = { list = sequence, inside = inside }
    end
    list[i] = { layer = L, unit = unit, sequences = sequences, tokens = tokens }
  end
  return list
end

local function find(graph, kind)
  for _, L in ipairs(graph.fused) do
    if L.kind == kind then return L end
  end
end

local function parts(graph, model)
  return {
    patch = find(graph, "patch_embed"), neck = find(graph, "neck"), prepare = find(graph, "prepare"), tokens = token_samples(model), mask_rows = samples(model.grid),
    mlps = each_kernel(graph, "encoder_mlp", function(L) return L.env.block or L.segment.pieces and "in pieces" end),
    windows = window_list(graph), wholes = whole_list(graph),
    projects = each_kernel(graph, "encoder_attention", function(L) return L.env.project end),
    depths = depth_list(graph),
  }
end

-- ---- what each gives ----

local Answer = {}
Answer.__index = Answer

function Answer:pattern(what, width) return self.R.pattern(known.FIRST[what], known.PERIOD, width) end

-- Rows `list` of the repeated pattern.
function Answer:repeated(x, list)
  local rows = {}
  for i, row in ipairs(list) do rows[i] = row % known.PERIOD end
  return self.R.rows(x, rows)
end

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i - 1 end
  return list
end

function Answer:sum(x) self.crc = self.R.crc32c(self.crc, x) end

function Answer:resize()
  local image, small = known.IMAGE, known.SMALL
  local at = pictures.resized(function(x, y, c) return known.pixel((y * image.width + x) * 3 + c) end, image.width, image.height, small.width, small.height)
  for y = 0, small.height - 1 do
    local row = {}
    for x = 0, small.width - 1 do
      for c = 0, 2 do row[#row + 1] = string.char(at(x, y, c)) end
    end
    self:sum(table.concat(row))
  end
end

function Answer:patch_embed(L)
  local R, model, image = self.R, self.model, known.IMAGE
  local embed, position = L:op "patch_embed", L:op "add_table"
  local C, g, P, S = model.dim, model.grid, model.patch, model.image_size
  local width, height = pictures.size(image.width, image.height, S, model.resize == "longest")
  local weight, mean, std = embed.params.weight, embed.normalise.mean, embed.normalise.std
  local slices = {}
  for _, token in ipairs(self.parts.tokens) do
    local slice, t = token // (g * g), token % (g * g)
    slices[slice] = slices[slice] or pictures.resized(function(x, y, c) return known.pixel(slice + (y * image.width + x) * 3 + c) end, image.width, image.height, width, height)
    local y
    for c = 0, 2 do
      local pixels = {}
      for i = 0, P * P - 1 do
        local px, py = t % g * P + i % P, t // g * P + i // P
        pixels[i + 1] = px < width and py < height and (slices[slice](px, py, c) - mean[c + 1]) / std[c + 1] or 0
      end
      local one = R.linear(R.packed(tensor.from(pixels, { 1, P * P })), weight:slice(2, c, 1):reshape { C, P * P }, c == 0 and embed.params.bias or nil)
      y = y and R.add(y, one) or one
    end
    self:sum(R.add(y, R.packed(position.params.table:reshape { g * g, C }:slice(1, t, 1))))
  end
end

function Answer:encoder_mlp(L)
  local R, extra = self.R, L:op "adapter"
  local x, norm = self:pattern("x", L.env.C), L:op "layernorm"
  local n = R.layernorm(x, norm.params.weight, norm.params.bias, norm.eps)
  local y = interpret.linear(R, R.gelu(interpret.linear(R, n, L:op("linear", 1).params)), L:op("linear", 2).params)
  if extra then y = interpret.add(R, y, interpret.adapter(R, n, extra), L:op("add", 1).scale) end
  self:sum(self:repeated(R.add(x, y), range(L.env.rows)))
end

-- Where a segment has it: what a role's part holds.
local function part_of(L, role)
  for _, part in ipairs(L.segment.parts) do
    if part.role == role or part.role == "attn_" .. role then return part.make() end
  end
end

function Answer:window(test)
  local R, L, kind = self.R, test.layer, test.kind
  local op, norm = L:op "grid_attention", L:op "layernorm"
  local C, g, d, side = L.env.C, L.env.grid, L.env.d, op.side
  local n = R.layernorm(self:pattern("x", C), norm.params.weight, norm.params.bias, norm.eps)
  local first, w, b = test.head * d, op.params.weight, op.params.bias
  local function part(i, list) return self:repeated(R.linear(n, w:slice(1, i * C + first, d), b and b:slice(1, i * C + first, d)), list) end
  local keys, queries = {}, {}
  for y = 0, kind.height - 1 do
    for x = 0, kind.width - 1 do keys[#keys + 1] = test.origin + y * g + x end
  end
  for i, token in ipairs(test.tokens) do queries[i] = test.origin + token end
  local function padding(role)
    local all = part_of(L, role)
    return all and #keys < side * side and R.packed(R.rows(all, { test.head })) or nil
  end
  self:sum(R.attention(part(0, queries), part(1, keys), part(2, keys), { heads = 1, tile = kernels.key_tile(#keys, kind.width), count = #keys, side = side, row = kind.width,
    place = test.places, rel_h = op.params.rel_pos_h, rel_w = op.params.rel_pos_w, k_pad = padding "k_pad", v_pad = padding "v_pad" }))
end

-- A whole layer: what attention gives for some tokens, and what follows it.
function Answer:attention_layer(test)
  local R, L = self.R, test.layer
  local op, norm, extra = L:op "grid_attention", L:op "layernorm", L:op "adapter"
  local C, g, side = L.env.C, L.env.grid, op.side
  local x, w, b = self:pattern("x", L.env.C), op.params.weight, op.params.bias
  local n = R.layernorm(x, norm.params.weight, norm.params.bias, norm.eps)
  local parts = {}
  for i = 0, 2 do parts[i] = R.linear(n, w:slice(1, i * C, C), b and b:slice(1, i * C, C)) end
  for _, one in ipairs(test.kinds) do
    local kind, keys = one.kind, {}
    for y = 0, kind.height - 1 do
      for column = 0, kind.width - 1 do keys[#keys + 1] = one.origin + y * g + column end
    end
    local function padding(role)
      local all = part_of(L, role)
      return all and #keys < side * side and R.packed(all:reshape { 1, C }) or nil
    end
    local o = R.attention(self:repeated(parts[0], one.tokens), self:repeated(parts[1], keys),
      self:repeated(parts[2], keys), { heads = op.heads, tile = kernels.key_tile(#keys, kind.width), count = #keys,
        side = side, row = kind.width, place = one.places, rel_h = op.params.rel_pos_h, rel_w = op.params.rel_pos_w,
        k_pad = padding "k_pad", v_pad = padding "v_pad" })
    local y = interpret.linear(R, o, L:op("linear").params)
    if extra then y = R.add(y, interpret.adapter(R, y, extra)) end
    self:sum(R.add(self:repeated(x, one.tokens), y))
  end
end

function Answer:project(L)
  local R, C, extra = self.R, L.env.C, L:op "adapter"
  local y = interpret.linear(R, self:pattern("o", C), L:op("linear").params)
  if extra then y = R.add(y, interpret.adapter(R, y, extra)) end
  if L.env.depth then y = R.add(y, self:pattern("depth", C)) end
  self:sum(self:repeated(R.add(self:pattern("x", C), y), range(L.env.rows)))
end

function Answer:depth_branch(test)
  local R, L = self.R, test.layer
  local depth, C = L.env.depth, L.env.C
  local op, norm, extra = L:op "grid_attention", L:op "layernorm", L:op "depth_attention"
  local n = R.layernorm(self:pattern("x", C), norm.params.weight, norm.params.bias, norm.eps)
  local pad = part_of(L, "depth_pad") or tensor.zeros { C }
  local all = R.beside(n:reshape { 1, known.PERIOD * C }, R.packed(pad:reshape { 1, C })):reshape { known.PERIOD + 1, C }
  local w, b, rel_h, rel_w = op.params.weight, op.params.bias, op.params.rel_pos_h, op.params.rel_pos_w
  for _, sequence in ipairs(test.sequences) do
    local list = {}
    for i, token in ipairs(sequence.list) do list[i] = token and token % known.PERIOD or known.PERIOD end
    local x = R.rows(all, list)
    local function part(i) return R.linear(x, w:slice(1, i * C, C), b and b:slice(1, i * C, C)) end
    local o = R.attention(part(0), part(1), part(2), { heads = op.heads, tile = kernels.key_tile(depth.length, depth.dw), count = depth.length, height = depth.dh, width = depth.dw,
      place = range(depth.length), rel_h = rel_h and branch.resampled(rel_h, depth.dh), rel_w = rel_w and branch.resampled(rel_w, depth.dw) })
    local y = interpret.adapter(R, interpret.linear(R, o, L:op("linear").params), extra)
    local inside = sequence.inside
    for _, at in ipairs(#inside > 1 and { inside[1], inside[#inside] } or inside) do self:sum(R.rows(y, { at - 1 })) end
  end
end

function Answer:neck(L)
  local R, g, E = self.R, self.model.grid, self.model.out
  local first, norm1, conv, norm2 = L:op "linear", L:op("layernorm", 1), L:op "conv3x3", L:op("layernorm", 2)
  local n = R.layernorm(interpret.linear(R, self:pattern("x", self.model.dim), first.params), norm1.params.weight, norm1.params.bias, norm1.eps)
  local all = R.beside(n:reshape { 1, known.PERIOD * E }, tensor.zeros { 1, E }):reshape { known.PERIOD + 1, E }
  for _, token in ipairs(self.parts.tokens) do
    local list, t = {}, token % (g * g)
    for dy = -1, 1 do
      for dx = -1, 1 do
        local y, x = t // g + dy, t % g + dx
        list[#list + 1] = y >= 0 and x >= 0 and y < g and x < g and (token + dy * g + dx) % known.PERIOD or known.PERIOD
      end
    end
    self:sum(R.layernorm(interpret.conv3x3(R, R.rows(all, list), conv.params.weight), norm2.params.weight, norm2.params.bias, norm2.eps))
  end
end

-- Float i of the embedding's memory, rows of it `lde` apart.
function Answer:embedding_memory(count)
  local E, lde = self.model.out, kernels.stride(self.model.out)
  local rows, values = self:pattern("x", E):totable(), {}
  for i = 0, count - 1 do
    local row, column = i // lde % known.PERIOD, i % lde
    values[i + 1] = column < E and rows[row * E + column + 1] or 0
  end
  return values
end

function Answer:decode(prompt)
  local R, model, texts = self.R, self.model, self.model.texts and #self.model.texts.names or 0
  local g, masks, rows = model.grid, model.decoder.masks, {}
  for t = 0, g * g - 1 do rows[t + 1] = (model.depth - 1) * g * g + t end
  local out = interpreter.run(R, self.network, { embedding = self:repeated(self:pattern("x", model.out), rows),
    tokens = inputs.tokens(R, model, self.rows, known.IMAGE.width, known.IMAGE.height, { points = prompt.points, box = prompt.box,
      text = prompt.text and texts > 0 and texts - 1 or nil }),
    mask_prompt = prompt.mask and tensor.from(self:embedding_memory(16 * g * g), { 16 * g * g, 1 }) or nil }, { "logits", "scores" })
  local logits = out.logits:reshape { masks * g, 16 * g }
  for _, row in ipairs(self.parts.mask_rows) do
    for m = 0, masks - 1 do self:sum(R.rows(logits, { m * g + row })) end
  end
  self:sum(out.scores)
end

function Answer:upsample()
  local to = known.ENLARGED
  local values = self:embedding_memory(to.side * to.side)
  for _, square in ipairs(to.squares) do
    local at = pictures.upsampled(function(x, y) return values[y * to.side + x + 1] end, to.side, square, to.width, to.height)
    local out = {}
    for y = 0, to.height - 1 do
      for x = 0, to.width - 1 do out[#out + 1] = at(x, y) end
    end
    self:sum(tensor.from(out, { to.height, to.width }))
  end
end

-- The order is that of templates/known_answer.c.
local function answer_of(build, bank)
  local R = require "msagen.reference".of(build.board.arithmetic)
  local self = setmetatable({ R = R, crc = 0, model = bank.model, graph = bank.graph, tables = bank.tables, parts = parts(bank.graph, bank.model) }, Answer)
  self.rows = R.packed(self.tables.prompt.parts[1].make())
  self.network = sam.compute(bank.model.parameters, bank.model, function() return self.tables.position.parts[1].make() end, network.token_rows(bank.model))
  local p = self.parts
  self:resize()
  self:patch_embed(p.patch)
  for _, L in ipairs(p.mlps) do self:encoder_mlp(L) end
  for _, test in ipairs(p.wholes) do self:attention_layer(test) end
  for _, test in ipairs(p.windows) do self:window(test) end
  for _, L in ipairs(p.projects) do self:project(L) end
  for _, test in ipairs(p.depths) do self:depth_branch(test) end
  self:neck(p.neck)
  for _, prompt in ipairs(known.PROMPTS) do self:decode(prompt) end
  self:upsample()
  return self.crc
end

--- @return the layers that take part, the constants above, and crcs, the expected CRC-32C of each bank
function known.compute(build)
  local answer = setmetatable(parts(build.graph, build.model), { __index = known })
  answer.crcs = {}
  for i, item in ipairs(build.graph.stream and build.graph.stream.encode.items or {}) do
    if item.buffer == "tables" then answer.tables_item = i end
  end
  for i, bank in ipairs(build.banks) do answer.crcs[i] = ("0x%08xu"):format(answer_of(build, bank)) end
  return answer
end

return known

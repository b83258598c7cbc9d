-- SPDX-License-Identifier: Apache-2.0
--- The known answer of msa_self_test: what the build's functions give on a fixed pattern with its own weights, computed
-- here by the naive kernels and on the device by the generated ones (templates/known_answer.c). Their CRC-32C must
-- agree, since the arithmetic is defined to the bit.
-- Each kernel runs once, on few tokens where it takes a strip or a window; patch embedding, neck and decoder run whole,
-- and so does one of each kind of encoder layers for which there is no smaller test.
-- Matrices repeat a few rows over and over, so that little has to be computed here of what is much there.
local group = require "lower.group"
local inputs = require "graph.inputs"
local interpreter = require "graph.interpreter"
local kernels = require "kernels.kernels"
local kinds = require "graph.kinds"
local parts_of_weights = require "lower.parts"
local expressions = require "graph.expressions"
local pictures = require "emit.pictures"
local resamplers = require "emit.resamplers"
local sam = require "networks.sam"
local tensor = require "msagen.tensor"
local tokens = require "networks.tokens"

local input, tensor_of = group.input, parts_of_weights.tensor_of

local known = {}

known.PERIOD = 11 -- rows of a pattern: nothing that tiles, vectors or grids have
known.FIRST = { x = 0, o = 1 << 20, depth = 1 << 21 } -- where the pattern of each matrix begins
known.OTHER = 1 << 22 -- and, times its number, that of each input of a layer that runs whole
known.IMAGE = { width = 11, height = 7 }
known.SMALL = { width = 5, height = 3 } -- what it is also resized to
known.PROMPTS = {
  { points = { { 3.25, 1.5, 1 } } },
  { points = { { 3.25, 1.5, 1 }, { 7.5, 6, 0 }, { 0, 0, -1 } }, box = { 1.25, 0.5, 9.75, 6.5 }, mask = true,
    text = true },
}
known.ENLARGED = { side = 12, squares = { 0, 40 }, width = 23, height = 17 }

--- The side of the logits that are enlarged, which lie in the embedding: 4 a token, as that has 16 numbers at least.
function known.side_of(model) return math.min(known.ENLARGED.side, 4 * model.grid) end

--- By way of which squares logits are enlarged: bicubic ones by none.
function known.squares_of(model)
  return model.upsample == "bicubic" and { known.ENLARGED.squares[1] } or known.ENLARGED.squares
end

--- The square by way of which a model enlarges its logits as others do not (MSA_ENLARGE_SO), 0 for none; nil of others.
function known.enlarges_so(model)
  return model.mask_square and known.ENLARGED.squares[2] or model.mask_from == "probabilities" and 0 or nil
end

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

-- Places of products' rows: a tile of them has no more rows than this, and a row that is wrong in one is in each.
local TILE = 32

-- Some places of a window: those above, the first ones, and the first ones of its first column, so that each row of a
-- tile is among them, whichever way tiles go.
local function window_samples(height, width)
  local list, seen = {}, {}
  local function add(i)
    if not seen[i] then list[#list + 1], seen[i] = i, true end
  end
  for i = 0, math.min(height * width, TILE) - 1 do add(i) end
  for y = 0, math.min(height, TILE) - 1 do add(y * width) end
  for _, i in ipairs(samples(height * width)) do add(i) end
  return list
end

-- Tokens of a grid in the first and the last slice.
local function token_samples(model)
  local g, list = model.grid, {}
  for _, slice in ipairs(samples(model.depth)) do
    local first = slice == 0 and math.min(g * g, TILE) or 0
    for t = 0, first - 1 do list[#list + 1] = t end
    for _, t in ipairs { 0, g * (g // 2) + g // 3, g * g - 1 } do
      if t >= first then list[#list + 1] = slice * g * g + t end
    end
  end
  return list
end

-- Layers of a nest, one for each kernel that `name` says is theirs.
local function each_kernel(graph, nest, name)
  local list, seen = {}, {}
  for _, L in ipairs(graph.fused) do
    local kernel = L.nest == nest and name(L)
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
    for _, kind in ipairs(L.nest == "grid_attention" and not L.segment.pieces and L.env.kinds or {}) do
      if not seen[kind.name] then
        seen[kind.name] = true
        local g, side, places, tokens = L.env.grid, L.env.side, {}, {}
        for i, at in ipairs(window_samples(kind.height, kind.width)) do
          local y, x = at // kind.width, at % kind.width
          places[i], tokens[i] = y * side + x, y * g + x
        end
        -- The last head, so that what is a head's own counts.
        list[#list + 1] = { layer = L, kind = kind, head = L.env.heads - 1,
          origin = kind.y0 * side * g + kind.x0 * side, places = places, tokens = tokens }
      end
    end
  end
  return list
end

-- Attention layers whose weights come in pieces, one for each set of windows' kernels: tokens of every kind of window.
local function whole_list(graph)
  local list, seen = {}, {}
  for _, L in ipairs(graph.fused) do
    local first = L.nest == "grid_attention" and L.segment.pieces and L.env.kinds[1].name
    if first and not seen[first] then
      seen[first] = true
      local g, side, tests, tokens = L.env.grid, L.env.side, {}, {}
      for i, kind in ipairs(L.env.kinds) do
        local test = { kind = kind, origin = kind.y0 * side * g + kind.x0 * side, places = {}, tokens = {} }
        for k, at in ipairs(window_samples(kind.height, kind.width)) do
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
  for i, L in ipairs(each_kernel(graph, "grid_attention", function(L) return L.env.depth
    and L.env.depth.kernel end)) do
    local depth, g = L.env.depth, L.env.grid
    local unit, sequences, tokens = depth.units - 1, {}, {}
    local run, place = unit // depth.groups, unit % depth.groups * depth.places
    for _, p in ipairs(depth.places > 1 and { 0, depth.places - 1 } or { 0 }) do
      local sequence, inside = {}, {}
      for entry = run * depth.length, (run + 1) * depth.length - 1 do
        local slice, window = entry // (depth.windows * depth.windows), entry % (depth.windows * depth.windows)
        local y, x = window // depth.windows * depth.side + place // depth.side,
          window % depth.windows * depth.side + place % depth.side + p
        local token = y < g and x < g and math.tointeger((slice * g + y) * g + x)
        sequence[#sequence + 1] = token
        if token then inside[#inside + 1] = #sequence end
      end
      for _, at in ipairs(#inside > 1 and { inside[1], inside[#inside] } or inside) do
        tokens[#tokens + 1] = sequence[at]
      end
      sequences[#sequences + 1] = { list = sequence, inside = inside }
    end
    list[i] = { layer = L, unit = unit, sequences = sequences, tokens = tokens }
  end
  return list
end

-- Nests of the encoder whose layers have tests of their own.
local TESTED = { grid_attention = true, image = true, pixels = true, neck = true, strips = true }

-- Values of a layer that are rows of a grid, with their buffers' rows, and some of the rows.
local function rows_of_values(graph, values)
  local list = {}
  for i, value in ipairs(values) do
    local made, rows = graph.buffers[value], 1
    for k = 1, #value.shape - 1 do rows = rows * value.shape[k] end
    list[i] = { value = value, buffer = made.name, stride = made.stride, rows = rows,
      width = value.shape[#value.shape], places = samples(rows) }
  end
  return list
end

-- One of each kind of the other layers of the encoder, by what their operations are and how large.
local function other_list(graph)
  local list, seen = {}, {}
  for _, L in ipairs(graph.fused) do
    if L.phase == "encode" and not TESTED[L.nest] and not L.uses then
      local words = {}
      for i, op in ipairs(L.group.ops) do words[i] = op.kind .. table.concat(op.shape, "x") end
      local kind = table.concat(words, " ")
      if not seen[kind] then
        seen[kind] = true
        list[#list + 1] = { layer = L, inputs = rows_of_values(graph, L.group.inputs),
          outputs = rows_of_values(graph, L.group.outputs) }
      end
    end
  end
  return list
end

local function find(graph, field, value)
  for _, L in ipairs(graph.fused) do
    if L[field] == value then return L end
  end
end

local function parts(graph, model)
  return {
    patch = find(graph, "nest", "image") or find(graph, "nest", "pixels"), neck = find(graph, "nest", "neck"),
    prepare = find(graph, "kind", "prepare"),
      tokens = token_samples(model), mask_rows = samples(model.grid),
    mlps = each_kernel(graph, "strips", function(L) return L.env.strip or L.segment.pieces and "in pieces" end),
    windows = window_list(graph), wholes = whole_list(graph),
    projects = each_kernel(graph, "grid_attention", function(L) return L.env.project end),
    depths = depth_list(graph), others = other_list(graph),
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
  local at = resamplers[self.model.resampling](function(x, y, c)
    return known.pixel((y * image.width + x) * 3 + c)
  end, image.width, image.height, small.width, small.height)
  for y = 0, small.height - 1 do
    local row = {}
    for x = 0, small.width - 1 do
      for c = 0, 2 do row[#row + 1] = string.char(at(x, y, c)) end
    end
    self:sum(table.concat(row))
  end
end

-- The network's input: function(slice, x, y, colour) -> a number.
function Answer:pixels_of()
  local image, slices = known.IMAGE, {}
  return function(slice, px, py, c)
    slices[slice] = slices[slice] or pictures.input(self.model, function(x, y, colour)
      return known.pixel(slice + (y * image.width + x) * 3 + colour)
    end, image.width, image.height)
    return slices[slice](px, py, c)
  end
end

function Answer:pixels()
  local pixel, S = self:pixels_of(), self.model.image_size
  for _, at in ipairs(self.parts.tokens) do
    local list = {}
    for c = 0, 2 do list[c + 1] = pixel(at // (S * S), at % S, at % (S * S) // S, c) end
    self:sum(self.R.packed(tensor.from(list, { 1, 3 })))
  end
end

function Answer:patch_embed(L)
  local R, pixel = self.R, self:pixels_of()
  local conv, add = L.group:op "conv", L.group:op "add"
  local C, g, P = conv.shape[4], conv.shape[2], conv.stride
  local weight, bias = tensor_of(input(conv, "w")), input(conv, "bias")
  local position = tensor_of(input(add, "y"))
  for _, token in ipairs(self.parts.tokens) do
    local slice, t = token // (g * g), token % (g * g)
    local y
    for c = 0, 2 do
      local pixels = {}
      for i = 0, P * P - 1 do pixels[i + 1] = pixel(slice, t % g * P + i % P, t // g * P + i // P, c) end
      local one = R.linear(R.packed(tensor.from(pixels, { 1, P * P })), weight:slice(2, c, 1):reshape { C, P * P },
        c == 0 and bias and tensor_of(bias) or nil)
      y = y and R.add(y, one) or one
    end
    self:sum(R.add(y, R.packed(position:slice(1, t, 1))))
  end
end

-- Operations of a layer on rows of patterns. @param given value -> matrix @return what `wanted` is
function Answer:rows_of(list, given, wanted)
  return interpreter.operations(self.R, list, given)[wanted]
end

function Answer:encoder_mlp(L)
  local one = L.group
  local y = self:rows_of(one.ops, { [one.inputs[1]] = self:pattern("x", L.env.C) }, one.outputs[1])
  self:sum(self:repeated(y, range(L.env.rows)))
end

-- The norms of a layer's pattern.
function Answer:normed(L)
  local norm = L.env.ops.norm
  return self:rows_of({ norm }, { [input(norm, "x")] = self:pattern("x", L.env.C) }, norm)
end

-- A projection of some heads: width d each, from `first` on. @param part "q", "k" or "v"
function Answer:projection(op, part, n, first, count)
  local map = input(op, part)
  local bias = input(map, "bias")
  return kinds.linear_of(self.R, map)(n, tensor_of(input(map, "w"), first, count),
    bias and tensor_of(bias, first, count))
end

-- What attention over a window is told: its keys and the tables.
local function attention_fields(R, op, test, keys, heads, padding)
  local rel_h, rel_w, padded = input(op, "rel_h"), input(op, "rel_w"), #keys < (op.window or op.grid[1]) ^ 2
  local function pad(part)
    local value = padded and input(op, part)
    return value and padding(R.packed(tensor_of(value))) or nil
  end
  return { heads = heads, tile = kernels.key_tile(#keys, test.kind.width), count = #keys,
    side = op.window or op.grid[1], row = test.kind.width, place = test.places, rel_h = rel_h and tensor_of(rel_h),
    rel_w = rel_w and tensor_of(rel_w), k_pad = pad "k_pad", v_pad = pad "v_pad" }
end

-- The tokens of a window.
local function window_keys(test, g)
  local keys = {}
  for y = 0, test.kind.height - 1 do
    for x = 0, test.kind.width - 1 do keys[#keys + 1] = test.origin + y * g + x end
  end
  return keys
end

function Answer:window(test)
  local R, L = self.R, test.layer
  local op, d = L.env.ops.main, L.env.d
  local n, keys, queries, first = self:normed(L), window_keys(test, L.env.grid), {}, test.head * d
  for i, token in ipairs(test.tokens) do queries[i] = test.origin + token end
  local function part(name, list) return self:repeated(self:projection(op, name, n, first, d), list) end
  local fields = attention_fields(R, op, test, keys, 1, function(row) return row:slice(2, first, d) end)
  self:sum(kinds.attention_of(R, op)(part("q", queries), part("k", keys), part("v", keys), fields))
end

-- A whole layer: what attention gives for some tokens, and what follows it.
function Answer:attention_layer(test)
  local R, L = self.R, test.layer
  local op, C, n, parts = L.env.ops.main, L.env.C, self:normed(L), {}
  for _, part in ipairs { "q", "k", "v" } do parts[part] = self:projection(op, part, n, 0, C) end
  for _, one in ipairs(test.kinds) do
    local keys = window_keys(one, L.env.grid)
    local o = kinds.attention_of(R, op)(self:repeated(parts.q, one.tokens), self:repeated(parts.k, keys),
      self:repeated(parts.v, keys), attention_fields(R, op, one, keys, op.heads, function(row) return row end))
    local given = { [op] = o, [L.group.inputs[1]] = self:repeated(self:pattern("x", C), one.tokens) }
    self:sum(self:rows_of(L.env.ops.after, given, L.group.outputs[1]))
  end
end

function Answer:project(L)
  local C, found = L.env.C, L.env.ops
  local given = { [found.main] = self:pattern("o", C), [L.group.inputs[1]] = self:pattern("x", C) }
  if found.back then given[found.back] = self:pattern("depth", C) end
  self:sum(self:repeated(self:rows_of(found.after, given, L.group.outputs[1]), range(L.env.rows)))
end

function Answer:depth_branch(test)
  local R, L = self.R, test.layer
  local depth, found, C = L.env.depth, L.env.ops, L.env.C
  local op, gather = found.along, input(input(found.along, "q"), "x")
  local n, fill = self:normed(L), R.packed(tensor_of(input(gather, "fill")))
  local all = R.stacked { n, fill }
  local rel_h, rel_w = input(op, "rel_h"), input(op, "rel_w")
  for _, sequence in ipairs(test.sequences) do
    local list = {}
    for i, token in ipairs(sequence.list) do list[i] = token and token % known.PERIOD or known.PERIOD end
    local x = R.rows(all, list)
    local function part(name) return self:projection(op, name, x, 0, C) end
    local o = kinds.attention_of(R, op)(part "q", part "k", part "v",
      { heads = op.heads, tile = kernels.key_tile(depth.length, depth.dw),
      count = depth.length, height = depth.dh, width = depth.dw, place = range(depth.length),
      rel_h = rel_h and tensor_of(rel_h), rel_w = rel_w and tensor_of(rel_w) })
    local y = self:rows_of(found.along_after, { [op] = o }, input(found.back, "x"))
    local inside = sequence.inside
    for _, at in ipairs(#inside > 1 and { inside[1], inside[#inside] } or inside) do self:sum(R.rows(y, { at - 1 })) end
  end
end

function Answer:other(test)
  local given = {}
  for i, one in ipairs(test.inputs) do
    given[one.value] = self:repeated(self.R.pattern(known.OTHER * i, known.PERIOD, one.width), range(one.rows))
  end
  local found = interpreter.operations(self.R, test.layer.group.ops, given)
  for _, one in ipairs(test.outputs) do self:sum(self.R.rows(found[one.value], one.places)) end
end

-- Nine products on the neighbours of one place, row by row, each a sum of its own.
local function convolved(R, op, x, weight)
  local cout, cin, y = weight.shape[1], weight.shape[2], nil
  if op.precision == "int8" then return kinds.taps_int8(R, x, weight, function(tap) return { tap } end) end
  local linear = kinds.linear_of(R, op)
  for tap = 0, 8 do
    local one = linear(R.rows(x, { tap }), weight:slice(3, tap // 3, 1):slice(4, tap % 3, 1):reshape { cout, cin })
    y = y and R.add(y, one) or one
  end
  return y
end

function Answer:neck(L)
  local R, g, E, found = self.R, self.model.grid, self.model.out, L.env.ops
  local conv = found.conv
  local x = L.group.inputs[1]
  local n = self:rows_of(found.before, { [x] = self:pattern("x", x.shape[#x.shape]) }, input(conv, "x"))
  local all = R.stacked { n, tensor.zeros { 1, E } }
  for _, token in ipairs(self.parts.tokens) do
    local list, t = {}, token % (g * g)
    for dy = -1, 1 do
      for dx = -1, 1 do
        local y, x = t // g + dy, t % g + dx
        list[#list + 1] = y >= 0 and x >= 0 and y < g and x < g and (token + dy * g + dx) % known.PERIOD or known.PERIOD
      end
    end
    local y = convolved(R, conv, R.rows(all, list), tensor_of(input(conv, "w")))
    self:sum(self:rows_of(found.after, { [conv] = y }, L.group.outputs[1]))
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
    tokens = inputs.tokens(R, model, self.rows, known.IMAGE.width, known.IMAGE.height,
      { points = prompt.points, box = prompt.box,
      text = prompt.text and texts > 0 and texts - 1 or nil }),
    mask_prompt = prompt.mask and not model.places
      and tensor.from(self:embedding_memory(16 * g * g), { 16 * g * g, 1 }) or nil },
      { "logits", "scores" })
  local logits = out.logits:reshape { masks * g, 16 * g }
  for _, row in ipairs(self.parts.mask_rows) do
    for m = 0, masks - 1 do self:sum(R.rows(logits, { m * g + row })) end
  end
  self:sum(out.scores)
end

-- Of logits, what runtime/msa_upsample.c makes of them before it enlarges probabilities.
local probability = expressions.of(function(x)
  local e = expressions.exp(-expressions.abs(x))
  return expressions.select(x, 0, e, 1) / (1 + e)
end)

-- What logits became at another size.
function Answer:enlarged(at)
  local to, out = known.ENLARGED, {}
  for y = 0, to.height - 1 do
    for x = 0, to.width - 1 do out[#out + 1] = at(x, y) end
  end
  self:sum(tensor.from(out, { to.height, to.width }))
end

function Answer:upsample()
  local to, side, R = known.ENLARGED, known.side_of(self.model), self.R
  local values = self:embedding_memory(side * side)
  local function logit(x, y) return values[y * side + x + 1] end
  for _, square in ipairs(known.squares_of(self.model)) do
    self:enlarged(self.model.upsample == "bicubic" and pictures.bicubic(logit, side, to.width, to.height)
      or pictures.upsampled(logit, side, square, to.width, to.height))
  end
  if self.model.mask_from == "probabilities" then
    local p = R.evaluate(probability, R.packed(tensor.from(values, { side, side })))
    values = p:reshape { side * side }:totable()
  end
  local square = known.enlarges_so(self.model)
  if square then
    self:enlarged(pictures.upsampled(logit, side, square, to.width, to.height, self.model.mask_square))
  end
end

-- The order is that of templates/known_answer.c.
local function answer_of(build, bank)
  local R = require "msagen.reference".of(build.arithmetic)
  local self = setmetatable({ R = R, crc = 0, model = bank.model, tables = bank.tables,
    parts = parts(bank.graph, bank.model) }, Answer)
  self.rows = R.packed(self.tables.prompt.parts[1].make())
  self.network = build.graph.precision:apply(sam.compute(bank.model.parameters, bank.model,
    function() return self.tables.position.parts[1].make() end, tokens.rows(bank.model)))
  local p = self.parts
  if resamplers[bank.model.resampling] then self:resize() end
  if p.patch.nest == "pixels" then self:pixels() else self:patch_embed(p.patch) end
  for _, L in ipairs(p.mlps) do self:encoder_mlp(L) end
  for _, test in ipairs(p.wholes) do self:attention_layer(test) end
  for _, test in ipairs(p.windows) do self:window(test) end
  for _, L in ipairs(p.projects) do self:project(L) end
  for _, test in ipairs(p.depths) do self:depth_branch(test) end
  for _, test in ipairs(p.others) do self:other(test) end
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

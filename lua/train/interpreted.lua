-- SPDX-License-Identifier: Apache-2.0
--- A trainer by the graph's interpreter and the naive kernels: what the generated code of a class must equal, bit for
-- bit, and in float64 the truth that both are held against.
--
-- What a trainer is, whoever computes:
--   model, parameters  the model description; list of { name = SAM's name, shape, offset, count: of its floats among
--                      those of all, row by row, in this order }
--   step               updates done
--   encode(picture)    u8 [H,W,3], or [D,H,W,3] of a volume, at the network's size
--   decode(prompt)     { slice = from 0, points = {{x, y, label}...} in the picture's pixels, box = {x0, y0, x1, y1},
--                      mask = f32 [4g,4g], text = f32 [E] of length 1, multimask } -> logits [masks,4g,4g] and scores
--                      [masks] of those masks that the prompt asks for
--   backward(of)       of the last decode: { target = u8 or f32 [1 or masks,T,T], loss = rule, weight = 1 } -> { loss =
--                      its value, ... }
--   image_end()        the picture's gradient joins those of the batch
--   update(rule)       { kind, lr, betas, eps, decay, decay_on, clip, images = of the batch, nil: those since the last
--                      update } -> { norm = of the gradient before clipping }
--   values(kind)       "parameters", "gradient" (the sum over images), "first", "second" (moments): flat tensors;
--                      set(kind, tensor) puts them back; nil as gradient: as if there had been no image; set("step", n)

local closed = require "support.closed"
local fail = require "support.fail"
local inputs = require "graph.inputs"
local interpretation = require "run.interpretation"
local interpreter = require "graph.interpreter"
local losses = require "msagen.loss"
local network = require "train.network"
local optimisers = require "msagen.optimiser"
local reference = require "msagen.reference"
local sam = require "networks.sam"
local tensor = require "msagen.tensor"
local tokens = require "networks.tokens"

local Trainer = {}
Trainer.__index = Trainer

local interpreted = {}

local GAUSSIAN = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"

-- A flat matrix of one column of a tensor's numbers.
local function column(t) return t:reshape { t:numel(), 1 } end

local function zeros(n) return tensor.zeros { n, 1 } end

-- What body gives, tensors that it computes being of the class's type.
local function in_class(self, body, ...) return interpretation.in_class(self.class, body, self, ...) end

-- The tensors as the graph takes them, of flat values.
local function put_parameters(self, flat)
  self.flat, self.given = flat, {}
  for _, one in ipairs(self.parameters) do
    self.given[one.name] = flat:slice(1, one.offset, one.count):reshape(one.shape)
  end
end

-- With the network that it is of: parameters as they begin, moments 0.
local function with_network(self, net)
  self.net, self.parameters, self.without = net, net.parameters, net.without
  local list = {}
  for i, one in ipairs(self.parameters) do list[i] = column(self.R.packed(one.tensor)) end
  put_parameters(self, self.R.stacked(list))
  self.first, self.second = zeros(net.floats), zeros(net.floats)
  return self
end

local function begun(self, names, options)
  local m, R = self.model, self.R
  self.gaussian = R.packed(m.tensor[GAUSSIAN]):reshape { 2, m.out // 2 }
  return with_network(self, network.of(m, names, { R = self.class == "float64" and R or nil, scores = options.scores }))
end

-- A trainer of a class of trainers, without its network.
local function empty(m, class, kind)
  return setmetatable({ model = m, class = class, R = reference.of(class), step = 0, sums = {}, images = 0 }, kind)
end

--- @param m a model description with tensors (import.load); in float64 of an import within interpretation.in_class
-- @param names what trains (train/sets.lua)
-- @param options class: "f32-fma-1", "f32-muladd-1" or "float64"; scores: false where the loss has no use for the
-- predicted scores, whose tensors then do not train
function interpreted.of(m, names, options)
  return in_class(empty(m, options.class, Trainer), begun, names, options)
end

-- ---- forward ----

-- The pixels of a picture as the network sees them, and its size.
local function pixels_of(self, picture)
  local shape = picture.shape
  if #shape == 3 then shape = { 1, table.unpack(shape) } end
  local m, bytes = self.model, picture:tobytes()
  local slices, height, width = table.unpack(shape)
  if slices ~= m.depth then fail("encode: expected %d slices, found %d", m.depth, slices) end
  local image = inputs.image(m, width, height, function(slice, x, y, c)
    return bytes:byte(((slice * height + y) * width + x) * 3 + c + 1)
  end)
  return image, width, height
end

-- An image [slices S^2,3] as rows of the patches' pixels, colour by colour.
local function patches_of(m, image)
  local P, grid = m.patch, m.grid
  return image:reshape { m.depth * grid, P, grid, P, 3 }:permute { 5, 1, 3, 2, 4 }:reshape { 3 * m.depth * grid * grid,
    P * P }
end

local function encode(self, picture)
  local image
  image, self.width, self.height = pixels_of(self, picture)
  self.encoded, self.decoded = {}, nil
  self.embedding = self:run({ image = image }, { "embedding" }, self.encoded).embedding
  self.dembedding, self.gradients = {}, {}
end

--- Some outputs of the graph. @param known what was computed of the same inputs before; gets more
function Trainer:run(given, wanted, known, count)
  return interpreter.run(self.R, self.net.graph, setmetatable(given, { __index = self.given }), wanted, nil,
    { known = known, count = count })
end

-- The input of a text; of none, numbers that no token takes.
local function text_of(self, text)
  local width = self.model.projection.shape[2]
  if text and text:numel() ~= width then
    fail("decode: text: expected an embedding of %d numbers, found %d", width, text:numel())
  end
  return self.R.packed(text and text:reshape { 1, width } or tensor.zeros { 1, width })
end

local function decode(self, prompt)
  local m, R = self.model, self.R
  local places, side, slice = m.grid * m.grid, 4 * m.grid, prompt.slice or 0
  local first_output = #sam.prompts(m).rows - 3 -- before the outputs' two tensors, without the features' one
  local features, index, count = inputs.embedded(R, m, self.gaussian, first_output, tokens.rows(m), self.width,
    self.height, prompt)
  local given = { embedding = self.embedding:slice(1, slice * places, places), token_features = features,
    token_index = index, mask_prompt = prompt.mask and R.packed(prompt.mask):reshape { side * side, 1 } or nil }
  if m.projection then given.text = text_of(self, prompt.text)
  elseif prompt.text then fail "decode: text: expected a network with a projection of texts, found one without" end
  local first, masks = interpretation.chosen(m, prompt)
  local known = {}
  local out = self:run(given, { "logits", "scores" }, known, count)
  self.decoded = { slice = slice, given = given, known = known, count = count, first = first, masks = masks,
    logits = out.logits:reshape { m.decoder.masks, side, side }, scores = out.scores }
  return self.decoded.logits:slice(1, first, masks), column(out.scores):slice(1, first, masks):reshape { masks }
end

-- ---- backward ----

-- Gradients that come one after the other are added to +0.
local function added(self, to, key, dx) to[key] = self.R.add(to[key] or tensor.zeros(dx.shape), dx) end

-- Names of the outputs that are gradients of the encoder's tensors, or of all others.
local function wanted_of(self, encodes)
  local list = {}
  for _, one in ipairs(self.parameters) do
    if one.encodes == encodes then list[#list + 1] = network.gradient(one.name) end
  end
  return list
end

local function backward(self, of)
  local d, m = self.decoded, self.model
  if not d then fail "backward: expected after decode, found without" end
  local loss = losses.of(self.class).value { logits = d.logits, iou = d.scores:reshape { m.decoder.masks },
    target = of.target, rule = of.loss, first = d.first, count = d.masks, weight = of.weight }
  local side = 4 * m.grid
  d.given.dlogits = loss.dlogits:reshape { m.decoder.masks * side, side }
  d.given.diou = loss.diou:reshape { 1, m.decoder.masks }
  local wanted = wanted_of(self, false)
  if self.net.encodes then wanted[#wanted + 1] = "dembedding" end
  local out = self:run(d.given, wanted, d.known, d.count)
  for name, dx in pairs(out) do
    if name == "dembedding" then added(self, self.dembedding, d.slice, dx)
    else added(self, self.gradients, name, dx) end
  end
  self.decoded = nil
  return { loss = loss.value, chosen = loss.chosen, masks = loss.masks }
end

-- The gradient of the last picture joins those before it: 2^k pictures with the 2^k before them.
local function join(self, gradient)
  local sums, size = self.sums, 1
  while sums[#sums] and sums[#sums].size == size do
    gradient, size = self.R.add(table.remove(sums).sum, gradient), 2 * size
  end
  sums[#sums + 1] = { sum = gradient, size = size }
end

local function image_end(self)
  local m = self.model
  if self.net.encodes then
    local list, places = {}, m.grid * m.grid
    for slice = 0, m.depth - 1 do
      list[slice + 1] = self.dembedding[slice] or tensor.zeros { places, m.out }
    end
    local out = self:run({ dembedding = self.R.stacked(list) }, wanted_of(self, true), self.encoded)
    for name, dx in pairs(out) do self.gradients[name] = dx end
  end
  self:join_picture()
  self.encoded = nil
end

--- The gradient of a picture, in self.gradients, joins the batch's.
function Trainer:join_picture()
  local list = {}
  for i, one in ipairs(self.parameters) do
    local dx = self.gradients[network.gradient(one.name)]
    list[i] = dx and column(dx) or zeros(one.count)
  end
  join(self, self.R.stacked(list))
  self.images = self.images + 1
end

-- ---- update ----

-- The sum over the batch's pictures: tree(lo, hi) splits at the largest power of two below what there is.
local function total(self)
  local sums, sum = self.sums, nil
  for i = #sums, 1, -1 do sum = sum and self.R.add(sums[i].sum, sum) or sums[i].sum end
  return sum
end

local function update(self, rule)
  local gradient, images = total(self), rule.images or self.images
  if not gradient or images < 1 then fail "update: expected pictures before it, found none" end
  local list = {}
  for i, one in ipairs(self.parameters) do
    local function part(flat) return flat:slice(1, one.offset, one.count) end
    list[i] = { value = part(self.flat), gradient = part(gradient), first = part(self.first),
      second = part(self.second), decays = rule.decay_on ~= "matrices" or #one.shape > 1 }
  end
  local moved, norm = optimisers.of(self.class).update(rule, self.step, list, 1 / images)
  local function whole(what)
    local parts = {}
    for i, one in ipairs(moved) do parts[i] = one[what] end
    return self.R.stacked(parts)
  end
  put_parameters(self, whole "value")
  self.first, self.second = whole "first", whole "second"
  self.step, self.sums, self.images = self.step + 1, {}, 0
  return { norm = norm }
end

-- ---- all of it within the class ----

function Trainer:encode(picture) return in_class(self, encode, picture) end
function Trainer:decode(prompt) return in_class(self, decode, prompt) end
function Trainer:backward(of) return in_class(self, backward, of) end
function Trainer:image_end() return in_class(self, image_end) end
function Trainer:update(rule) return in_class(self, update, rule) end

local KINDS = { "first", "gradient", "parameters", "second", "step" }

function Trainer:values(kind)
  closed.member(kind, KINDS, "values")
  if kind == "step" then return self.step end
  if kind == "parameters" then return self.flat end
  return kind == "gradient" and (in_class(self, total) or in_class(self, function() return zeros(self.net.floats) end))
    or self[kind]
end

function Trainer:set(kind, value)
  closed.member(kind, KINDS, "set")
  if kind == "step" then self.step = value
  elseif kind == "gradient" then
    self.sums, self.images = value and { { sum = column(value), size = 1 } } or {}, 0
  elseif kind == "parameters" then put_parameters(self, column(value))
  else self[kind] = column(value) end
end

--- What other trainers by the interpreter are made of (lua/train/passes.lua).
interpreted.parts = { Trainer = Trainer, empty = empty, in_class = in_class, with_network = with_network,
  pixels_of = pixels_of, patches_of = patches_of, wanted_of = wanted_of }

return interpreted

-- SPDX-License-Identifier: Apache-2.0
--- A trainer as msagen train's loop takes it, small enough to be read: the logit of a place is a sum of four features
-- (one, the picture's brightness there, its square, nearness of the click) times parameters, all in float32 with fixed
-- orders; binary cross-entropy; Adam. Sums over images are those of the definition, by recursion.
local tensor = require "msagen.tensor"

local fake = {}
fake.__index = fake

local GRID, FEATURES = 4, 4
local SIDE = 4 * GRID -- of logits

local function f32(x) return (string.unpack("<f", string.pack("<f", x))) end
local function filled(value, n)
  local list = {}
  for i = 1, n do list[i] = value end
  return list
end

--- @param options { depth, resize, decoys = floats more that get no gradient }
function fake.new(options)
  options = options or {}
  local decoys = options.decoys or 5
  local self = setmetatable({ decoded = 0 }, fake)
  self.model = { image_size = 64, depth = options.depth or 1, grid = GRID, resize = options.resize or "squash",
    resampling = "bilinear", mask_from = "logits", mask_square = false, best_of_several = false, dialect = "sam",
    training = { feedback = "none" } }
  self.parameters = { { name = "mask_decoder.features", shape = { FEATURES }, offset = 0 },
    { name = "mask_decoder.decoys", shape = { decoys }, offset = FEATURES } }
  self.n = FEATURES + decoys
  self.p, self.m, self.v = filled(0.0, self.n), filled(0.0, self.n), filled(0.0, self.n)
  for i = 1, self.n do self.p[i] = f32(0.01 * i) end
  self.images, self.current, self.steps = {}, filled(0.0, self.n), 0
  return self
end

-- Mean brightness, 0 to 1, of each place of a slice.
local function brightness(picture, slice, height, width)
  local bytes, values, step = picture:tobytes(), {}, 64 // SIDE
  for y = 0, SIDE - 1 do
    for x = 0, SIDE - 1 do
      local px, py = x * step + step // 2, y * step + step // 2
      local inside = px < width and py < height
      values[y * SIDE + x + 1] = inside and bytes:byte(((slice * height + py) * width + px) * 3 + 1) / 255 or 0.0
    end
  end
  return values
end

function fake:encode(picture)
  local shape = picture.shape
  local height, width = shape[#shape - 2], shape[#shape - 1]
  assert(picture.dtype == "u8" and shape[#shape] == 3 and math.max(height, width) == 64, "fake: another picture")
  assert((#shape == 4) == (self.model.depth > 1), "fake: another depth")
  self.slices = {}
  for s = 0, self.model.depth - 1 do self.slices[s] = brightness(picture, s, height, width) end
end

function fake:decode(prompt)
  local bright, point, logits = self.slices[prompt.slice], prompt.points[1], {}
  self.features, self.decoded = {}, self.decoded + 1
  for y = 0, SIDE - 1 do
    for x = 0, SIDE - 1 do
      local i = y * SIDE + x + 1
      local dx, dy = (point[1] - 4 * x - 2) / 64, (point[2] - 4 * y - 2) / 64
      local f = { 1.0, f32(bright[i]), f32(bright[i] * bright[i]), f32(point[3] / (1 + 16 * (dx * dx + dy * dy))) }
      local sum = 0.0
      for k = 1, FEATURES do sum = f32(sum + f32(f[k] * self.p[k])) end
      self.features[i], logits[i] = f, sum
    end
  end
  self.logits = logits
  return tensor.from(logits, { 1, SIDE, SIDE }), tensor.from({ 0.5 }, { 1 })
end

function fake:backward(asked)
  assert(asked.loss.kind == "bce" and asked.weight == 1 / self.model.depth, "fake: another loss")
  local targets, loss, n = asked.target:totable(), 0.0, SIDE * SIDE
  for i, x in ipairs(self.logits) do
    local chance = 1 / (1 + math.exp(-x))
    loss = loss - (targets[i] * math.log(chance) + (1 - targets[i]) * math.log(1 - chance)) / n
    local d = f32((chance - targets[i]) / n * asked.weight)
    for k = 1, FEATURES do self.current[k] = f32(self.current[k] + f32(d * self.features[i][k])) end
  end
  if self.spoil and self.spoil(self) then self.current[1] = 0 / 0 end
  return { loss = loss }
end

function fake:image_end()
  self.images[#self.images + 1] = self.current
  self.current = filled(0.0, self.n)
end

-- The definition: of images from..to the sum of as many as the largest power of two below, and that of the rest.
local function sum_of(images, from, to)
  local n, half = to - from + 1, 1
  if n == 1 then return images[from] end
  while half * 2 < n do half = half * 2 end
  local left, right, sum = sum_of(images, from, from + half - 1), sum_of(images, from + half, to), {}
  for i = 1, #left do sum[i] = f32(left[i] + right[i]) end
  return sum
end

function fake:update(with)
  local g, square = sum_of(self.images, 1, #self.images), 0.0
  assert(with.step == self.steps + 1 and with.kind == "adam", "fake: another update")
  for i = 1, self.n do
    if g[i] ~= g[i] then error({ msagen = "update: expected numbers, found others" }, 0) end
  end
  self.steps = with.step
  for i = 1, self.n do
    g[i] = f32(g[i] * f32(1 / with.images))
    square = square + g[i] * g[i]
    self.m[i], self.v[i] = f32(0.9 * self.m[i] + 0.1 * g[i]), f32(0.999 * self.v[i] + 0.001 * g[i] * g[i])
    local m, v = self.m[i] / (1 - 0.9 ^ self.steps), self.v[i] / (1 - 0.999 ^ self.steps)
    self.p[i] = f32(self.p[i] - with.lr * m / (math.sqrt(v) + 1e-8))
  end
  self.images = {}
  return { norm = math.sqrt(square) }
end

local KEPT = { parameters = "p", first = "m", second = "v" }

function fake:values(kind)
  if kind == "gradient" then return tensor.from(sum_of(self.images, 1, #self.images), { self.n }) end
  return tensor.from(self[KEPT[kind]], { self.n })
end

function fake:set(kind, values)
  if kind == "gradient" then self.images = values and { values:totable() } or {}
  elseif kind == "step" then self.steps = values
  else self[KEPT[kind]] = values:totable() end
end

return fake

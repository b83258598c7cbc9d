-- SPDX-License-Identifier: Apache-2.0
-- Training as generated code against the interpreter, bit for bit, in shapes that nobody trains: widths that are no
-- multiple of 16, windows that do not divide the grid, many masks; everything trained, with all of the forward pass
-- kept or none, by one core and several. Several prompts an image, with and without masks, boxes, several losses; two
-- images a step, two steps with clipping and decay.
local import = require "import.import"
local sets = require "train.sets"
local shards = require "import.shards"
local tally = require "tally"
local tensor = require "msagen.tensor"
package.path = tally.tests .. "/lua/?.lua;" .. package.path
local tiny = require "tiny_model"

local work = tally.folder "train-shapes"

-- Each shape of tests/lua/tiny_model.lua with what trains, how; deep ones are of the full tier.
local BUILDS = {
  { shape = "adapted", set = "everything", cores = 1 },
  { shape = "late", set = "default", cores = 3, recompute = true },
  { shape = "wide", set = "everything", cores = 3, recompute = true, board = "generic-c99", deep = true },
  { shape = "plain", set = "everything", cores = 1, recompute = true, board = "generic-c99-nofma", deep = true },
  { shape = "broad", set = "everything", cores = 2, deep = true },
  { shape = "adapted", set = "default", cores = 2, recompute = true, deep = true },
  { shape = "late", set = "everything", cores = 1, deep = true },
  { shape = "plain", set = "image_encoder.pos_embed", cores = 1 },
  { shape = "adapted", set = "everything", cores = 2, depth = 2, recompute = true },
}

local state = 1
local function random(below)
  state = state * 48271 % 2147483647
  return state % below
end

local function picture(side, depth)
  local bytes = {}
  for i = 1, depth * side * side * 3 do bytes[i] = string.char(random(256)) end
  return tensor.frombytes(table.concat(bytes), "u8", depth > 1 and { depth, side, side, 3 } or { side, side, 3 })
end

local function target(side, k)
  local bytes = {}
  for i = 0, side * side - 1 do bytes[i + 1] = i // side > side // 3 and i % side > side // 4 + k and "\1" or "\0" end
  return tensor.frombytes(table.concat(bytes), "u8", { 1, side, side })
end

local function mask(side, k)
  local list = {}
  for i = 1, side * side do list[i] = math.sin(i * 0.37 + k) * 3 end
  return tensor.from(list, { side, side })
end

local LOSSES = { { kind = "sam", focal = 20, dice = 1, iou = 1 }, { kind = "dicece", cross_entropy = "binary" },
  { kind = "bce", pos_weight = 2 } }

-- The k-th prompt of an image of `size`, logits of `side`.
local function prompt(model, k)
  local size, side = model.image_size, 4 * model.grid
  return { points = { { size * 0.3 + k, size * 0.4, 1 }, k > 1 and { 3, 4, 0 } or nil },
    box = k == 3 and { 2, 3, size - 5, size - 7 } or nil, mask = k > 1 and mask(side, k) or nil, multimask = k == 1 }
end

-- An image in both trainers.
local function image(a, b, model)
  local side, shown = 4 * model.grid, picture(model.image_size, model.depth)
  a:encode(shown)
  b:encode(shown)
  for k = 1, 3 do
    local asked = prompt(model, k)
    asked.slice = k % model.depth
    local logits, scores = a:decode(asked)
    local others, their_scores = b:decode(asked)
    assert(logits:equal(others) and scores:equal(their_scores), "logits and scores of prompt " .. k)
    local of = { target = target(k == 2 and side or 2 * side + 3, k), loss = LOSSES[k], weight = 0.5 }
    local x, y = a:backward(of), b:backward(of)
    assert(x.loss == y.loss and x.chosen == y.chosen, "loss of prompt " .. k)
  end
  a:image_end()
  b:image_end()
end

local function compare(a, b)
  local x, y = a:values "gradient":totable(), b:values "gradient":totable()
  for _, one in ipairs(a.parameters) do
    for i = one.offset + 1, one.offset + one.count do
      assert(x[i] == y[i], ("gradient of %s: expected %g, found %g"):format(one.name, y[i], x[i]))
    end
  end
end

local function train(one, dir)
  local device = tiny.device(work, one.shape)
  local model = import.load(shards.open(device.checkpoint), { dialect = device.dialect,
    decoder_heads = device.decoder_heads, classes = device.classes, global_blocks = device.global_blocks,
    resolution = device.resolution, depth = one.depth or 1, training = true })
  local names = sets.of(model, one.set ~= "default" and one.set or nil, "--train")
  local a = require("train.generated").of(model, names, { scores = true, board = one.board, cores = one.cores,
    batch = 2, dir = dir, target_side = 8 * model.grid + 3,
    keep = one.recompute and function() return false end or nil })
  assert((a.build.made.macs_again > 0) == (one.recompute or false), "what is computed again")
  local b = require("train.interpreted").of(model, names, { class = a.build.arithmetic, scores = true })
  local rule = { kind = "adamw", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, decay = 0.1, decay_on = "matrices",
    clip = 1 }
  for _ = 1, 2 do
    image(a, b, model)
    image(a, b, model)
    compare(a, b)
    local x, y = a:update(rule), b:update(rule)
    assert(x.norm == y.norm and x.norm > 0, "the norm of the gradient")
    assert(a:values "parameters":tobytes() == b:values "parameters":tobytes(), "parameters after a step")
  end
  assert(a:close() == 0, "the test bench ends")
end

for i, one in ipairs(BUILDS) do
  local again = (one.depth and (", %d slices"):format(one.depth) or "") .. (one.recompute and ", computed again" or "")
  local name = ("%s, %s%s, %d cores%s"):format(one.shape, one.set, again, one.cores,
    one.board and ", " .. one.board or "")
  local run = one.deep and tally.deep or tally.test
  run(name, train, one, ("%s/%d"):format(work, i))
end
os.exit(tally.finish())

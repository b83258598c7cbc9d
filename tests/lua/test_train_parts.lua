-- SPDX-License-Identifier: Apache-2.0
-- What a training is made of: the tree of sums, batches, rates, samples, the curve, files that are written.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys = spec.host "msagen.sys"
if not sys then return end

local batches, curve, rates = require "train.batches", require "train.curve", require "train.rates"
local datasets, samples, tree = require "evaluate.datasets", require "train.samples", require "train.tree"
local image, npy, resize = require "msagen.image", require "msagen.npy", require "msagen.resize"
local safetensors, tensor = require "msagen.safetensors", require "msagen.tensor"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-train-")
sys.cleanup(work)

local function one(value) return tensor.from({ value }, { 1 }) end

-- Numbers whose float32 sum depends on the order.
local function awkward(i) return one((i % 3 == 0 and 1e8 or 1) * (1 + i / 7)) end

-- The definition, as text and as a sum.
local function defined(from, to)
  local n, half = to - from, 1
  if n == 1 then return tostring(from), awkward(from) end
  while half * 2 < n do half = half * 2 end
  local a, left = defined(from, from + half)
  local b, right = defined(from + half, to)
  return ("(%s+%s)"):format(a, b), left:add(right)
end

describe("the tree of a batch", function()
  it("is the definition", function()
    equal((defined(0, 5)), "(((0+1)+(2+3))+4)")
    equal((defined(0, 7)), "(((0+1)+(2+3))+((4+5)+6))")
  end)
  it("gives the same bits in whatever order sums come, however they are split", function()
    for n = 1, 13 do
      local _, expected = defined(0, n)
      local forth, back = tree.new(n), tree.new(n)
      for i = 0, n - 1 do
        forth:add(i, i + 1, awkward(i))
        back:add(n - 1 - i, n - i, awkward(n - 1 - i))
      end
      assert(forth:total():equal(expected) and back:total():equal(expected), "another sum of " .. n)
      for ranks = 1, 5 do
        local whole = tree.new(n)
        for rank = ranks - 1, 0, -1 do
          local from, to, part = rank * n // ranks, (rank + 1) * n // ranks, tree.new(n)
          for i = from, to - 1 do part:add(i, i + 1, awkward(i)) end
          local held, list = part:sums(), part:of(from, to)
          equal(#held, #list)
          for k, sum in ipairs(held) do
            equal({ sum.from, sum.to }, list[k])
            whole:add(sum.from, sum.to, sum.tensor)
          end
        end
        assert(whole:total():equal(expected), ("another sum of %d over %d"):format(n, ranks))
      end
    end
  end)
end)

describe("batches", function()
  it("have every sample once an epoch, in an order that the seed gives", function()
    local of = batches.of(3, 4, 10)
    local seen, list = {}, {}
    for step = 0, 4 do
      local batch, epoch = of(step)
      equal(epoch, step * 4 // 10)
      table.move(batch, 1, 4, #list + 1, list)
    end
    for i, n in ipairs(list) do seen[n] = (seen[n] or 0) + (i <= 10 and 1 or 100) end
    for n = 1, 10 do equal(seen[n], 101) end
    local again = batches.of(3, 4, 10)
    equal(again(4), { table.unpack(list, 17, 20) })
    equal(again(0), { table.unpack(list, 1, 4) })
    assert(table.concat(batches.order(3, 0, 10), " ") ~= table.concat(batches.order(4, 0, 10), " "))
    assert(table.concat(batches.order(3, 0, 10), " ") ~= table.concat(batches.order(3, 1, 10), " "))
  end)
  it("may be larger than the set", function() equal(#batches.of(1, 7, 2)(0), 7) end)
end)

describe("rates", function()
  local function at(schedule, step, warm)
    return rates.at({ learning_rate = 0.1, schedule = rates.parse(schedule), warm_up = warm, steps = 100 }, step)
  end
  it("go as their names say", function()
    equal({ at("constant", 0), at("constant", 99) }, { 0.1, 0.1 })
    equal({ at("step:10,0.5", 9), at("step:10,0.5", 10), at("step:10,0.5", 25) }, { 0.1, 0.05, 0.025 })
    equal({ at("step:60+90,0.5", 59), at("step:60+90,0.5", 60), at("step:60+90,0.5", 90) }, { 0.1, 0.05, 0.025 })
    for step = 0, 100, 5 do
      local expected = 0.05 * (1 + math.cos(math.pi * step / 100))
      assert(math.abs(at("cosine", step) - expected) < 1e-15, "cosine at " .. step)
    end
    equal({ at("constant", 0, 4), at("constant", 3, 4), at("cosine", 4, 4) }, { 0.025, 0.1, 0.1 })
  end)
  it("are refused where they say nothing", function()
    for _, text in ipairs { "step:0,0.5", "step:10", "step:10,2", "step:9+3,0.5", "linear", "step:,0.5" } do
      local schedule, why = rates.parse(text)
      equal(schedule, nil)
      assert(why:find(text, 1, true), why)
    end
  end)
end)

-- ---- samples ----

local made = 0
-- Pictures u8 and masks given as NPY.
local function set_of(cases, options)
  made = made + 1
  local root = ("%s/set-%d"):format(work, made)
  sys.mkdir_p(root .. "/images")
  sys.mkdir_p(root .. "/masks")
  for name, case in pairs(cases) do
    npy.write(("%s/images/%s.npy"):format(root, name), case.picture)
    npy.write(("%s/masks/%s.npy"):format(root, name), case.mask)
  end
  return datasets.open(root, options or {}).cases
end

local function bytes(shape, at)
  local n, list = 1, {}
  for _, size in ipairs(shape) do n = n * size end
  for i = 0, n - 1 do list[i + 1] = string.char(at(i)) end
  return tensor.frombytes(table.concat(list), "u8", shape)
end

local function model(more)
  local m = { image_size = 16, depth = 1, resize = "squash", resampling = "bilinear" }
  for key, value in pairs(more or {}) do m[key] = value end
  return m
end

local function opened(cases, more)
  local options = { model = model(), how = {}, empty = "skip", out_size = 8, edges = "soft", cache_bytes = 0,
    show = function() end }
  for key, value in pairs(more or {}) do options[key] = value end
  return samples.open(cases, options)
end

describe("pictures at the network's size", function()
  it("have the bytes of the runtime's definition", function()
    local resamplers = require "emit.resamplers"
    local picture = bytes({ 1, 11, 23, 3 }, function(i) return i * 37 % 251 end)
    for _, kind in ipairs { "bilinear", "spline", "area", "nearest" } do
      for _, size in ipairs { { 7, 5 }, { 16, 16 } } do
        local slow = resamplers[kind](function(x, y, c) return picture:get(0, y, x, c) end, 23, 11, size[1], size[2])
        local fast = resize.picture(picture, size[2], size[1], kind)
        for y = 0, size[2] - 1 do
          for x = 0, size[1] - 1 do
            for c = 0, 2 do equal(fast:get(0, y, x, c), slow(x, y, c), kind) end
          end
        end
      end
    end
  end)
  it("and masks theirs, each slice by itself", function()
    local mask = bytes({ 2, 9, 6 }, function(i) return i * 91 % 256 end)
    local small = resize.mask(mask, 4, 5)
    equal(small.shape, { 2, 4, 5 })
    local like = bytes({ 2, 9, 6, 3 }, function(i) return i // 3 * 91 % 256 end)
    assert(small:equal(resize.picture(like, 4, 5):slice(4, 0, 1):reshape { 2, 4, 5 }), "another mask")
  end)
  it("and logits those of the image", function()
    local pictures = require "emit.pictures"
    local logits = tensor.from({ -3, 1, 2, -1, 0.5, 4, -2, 1, -0.25, 3, 1, -1, 2, -2, 0.75, -4 }, { 4, 4 })
    for _, how in ipairs { { square = 0 }, { square = 16 }, { square = 16, squashed = true } } do
      local inside = require("msagen.enlarge").inside(logits, 11, 7, how)
      local slow = pictures.upsampled(function(x, y) return logits:get(y, x) end, 4, how.square, 11, 7, how.squashed)
      for y = 0, 6 do
        for x = 0, 10 do equal(inside:get(y, x), slow(x, y) > 0 and 255 or 0) end
      end
    end
  end)
end)

describe("samples", function()
  local function disc(h, w, value, from)
    return bytes({ h, w }, function(i) return i % w >= from and i // w >= 2 and value or 0 end)
  end
  local grey = bytes({ 12, 24, 3 }, function(i) return i % 200 end)
  it("of a case without its class are left out, or negative", function()
    local cases = set_of { a = { picture = grey, mask = disc(12, 24, 255, 12) },
      b = { picture = grey, mask = disc(12, 24, 0, 12) } }
    local some = opened(cases)
    equal({ #some.items, some.left, some:name(1) }, { 1, 1, "a" })
    local all = opened(cases, { empty = "negative" })
    equal({ #all.items, all.left, all:at(2).masks[1]:is_zero(), all:at(2).targets:is_zero() }, { 2, 0, true, true })
  end)
  it("have pictures, masks and targets of their sizes", function()
    local cases = set_of { a = { picture = grey, mask = disc(12, 24, 255, 12) } }
    local squashed = opened(cases):at(1)
    equal({ squashed.picture.shape, squashed.masks[1].shape, squashed.targets.shape, squashed.targets.dtype },
      { { 16, 16, 3 }, { 1, 16, 16 }, { 1, 1, 8, 8 }, "f32" })
    assert(squashed.picture:equal(resize.picture(grey, 16, 16)), "another picture")
    local fitted = opened(cases, { model = model { resize = "longest" }, edges = "hard" }):at(1)
    equal({ fitted.picture.shape, fitted.width, fitted.height, fitted.targets.dtype },
      { { 8, 16, 3 }, 16, 8, "u8" })
    equal(fitted.targets:get(0, 0, 2, 6), 1)
    equal(fitted.targets:get(0, 0, 2, 1), 0)
    assert(fitted.targets:slice(3, 4, 4):is_zero(), "what lies beyond the picture is none")
  end)
  it("have soft edges as Pillow's resize leaves them", function()
    local cases = set_of { a = { picture = bytes({ 16, 16, 3 }, function() return 90 end),
      mask = bytes({ 16, 16 }, function(i) return i % 16 >= 7 and 255 or 0 end) } }
    local soft, hard = opened(cases):at(1).targets, opened(cases, { edges = "hard" }):at(1).targets
    local small = resize.mask(bytes({ 1, 16, 16 }, function(i) return i % 16 >= 7 and 255 or 0 end), 8, 8, "bilinear")
    local between = 0
    for x = 0, 7 do
      local k = small:get(0, 4, x)
      equal(soft:get(0, 0, 4, x), (string.unpack("<f", string.pack("<f", k / 255))))
      equal(hard:get(0, 0, 4, x), k >= 128 and 1 or 0)
      if k > 0 and k < 255 then between = between + 1 end
    end
    assert(between > 0, "an edge is soft")
  end)
  it("of volumes are its subvolumes, of single images its slices, a class each", function()
    local volume = bytes({ 5, 8, 8, 3 }, function(i) return i % 251 end)
    local labels = bytes({ 5, 8, 8 }, function(i) return i // 64 == 1 and 1 or i // 64 == 3 and i % 2 * 2 or 0 end)
    local classes = datasets.classes_option "one=1,two=2"
    local cases = set_of({ v = { picture = volume, mask = labels } }, { classes = classes })
    local slices = opened(cases)
    equal({ #slices.items, slices:name(1), slices:name(2) }, { 2, "v, one, slice 1", "v, two, slice 3" })
    local subvolumes = opened(cases, { model = model { depth = 2 } })
    equal({ #subvolumes.items, subvolumes:name(1), subvolumes:name(2), subvolumes:name(3) },
      { 3, "v, one, slice 0", "v, two, slice 2", "v, two, slice 3" })
    equal(subvolumes:at(1).picture.shape, { 2, 16, 16, 3 })
    equal({ subvolumes:at(1).masks[1]:slice(1, 0, 1):is_zero(), subvolumes:at(1).masks[1]:slice(1, 1, 1):is_zero() },
      { true, false })
    local whole = opened(cases, { model = model { depth = 2 }, together = true })
    equal({ #whole.items, whole:name(1), whole:at(1).targets.shape, #whole:at(1).masks },
      { 3, "v, slice 0", { 2, 2, 8, 8 }, 2 })
    local planes = {}
    for i, mask in ipairs(whole:at(2).masks) do planes[i] = mask:slice(1, 1, 1):reshape { 16, 16 } end
    local labels = require("train.prompts").labels(planes)
    equal({ labels.dtype, labels:get(0, 0), planes[1]:is_zero(), planes[2]:is_zero() }, { "i32", 0, true, false })
    for y = 0, 15 do
      for x = 0, 15 do equal(labels:get(y, x), planes[2]:get(y, x) > 0 and 2 or 0) end
    end
    local both = opened(cases, { model = model { depth = 2, classes = 2 } })
    equal({ #both.items, both:at(2).targets.shape }, { 3, { 2, 2, 8, 8 } })
    refuses(function() opened(cases, { model = model { classes = 3 } }) end, "v:", "expected 3 classes", "found 2")
  end)
  it("are the same from files and from memory", function()
    local cases = set_of { a = { picture = grey, mask = disc(12, 24, 255, 12) } }
    local kept, read = opened(cases, { cache_bytes = 1 << 20 }), opened(cases)
    equal({ kept.kept[1] ~= nil, read.kept[1] ~= nil }, { true, false })
    assert(kept:at(1).targets:equal(read:at(1).targets) and kept:at(1).picture:equal(read:at(1).picture))
  end)
  it("name the case whose file is none", function()
    local cases = set_of { good = { picture = grey, mask = disc(12, 24, 255, 12) },
      wrong = { picture = grey, mask = disc(10, 24, 255, 12) } }
    refuses(function() opened(cases) end, "wrong:", "expected 1 slice of 24x12")
    sys.write_file(cases[1].image, "nothing")
    refuses(function() opened(cases) end, "good:")
  end)
end)

-- ---- what is written ----

describe("the curve", function()
  local run = { history = { { 0.5, 1e-4, 2 }, { 0.25, 1e-4, 1 }, { 0.125, 5e-5, 0.5 } },
    best = { step = 2, score = 0.75 },
    validations = { { step = 2, clicks = { 1, 3 }, dice = { 0.7, 0.8 }, iou = { 0.6, 0.65 } } } }
  it("is a row a step", function()
    equal(curve.csv(run), "step,loss,learning_rate,gradient_norm,dice_1,iou_1,dice_3,iou_3\n"
      .. "1,0.5,0.0001,2,,,,\n2,0.25,0.0001,1,0.7,0.6,0.8,0.65\n3,0.125,5e-05,0.5,,,,\n")
    equal(curve.csv { history = { { 1, 2, 3 } }, validations = {} }, "step,loss,learning_rate,gradient_norm\n1,1,2,3\n")
  end)
  it("is drawn, the same bytes each time", function()
    local picture = curve.picture(run)
    equal(picture.shape, { 600, 1000, 3 })
    assert(picture:equal(curve.picture(run)), "another picture")
    local white, colours = 0, {}
    for y = 0, 599, 3 do
      for x = 0, 999 do
        local rgb = ("%d %d %d"):format(picture:get(y, x, 0), picture:get(y, x, 1), picture:get(y, x, 2))
        colours[rgb] = (colours[rgb] or 0) + 1
        if rgb == "255 255 255" then white = white + 1 end
      end
    end
    assert(white > 150000 and (colours["20 90 170"] or 0) > 100 and (colours["215 95 10"] or 0) > 100,
      "losses and Dice are there")
    -- Dice 0.7 at step 2 of 3: its square.
    equal(picture:get(600 - 64 - math.floor(0.7 * 480 + 0.5), 110 + 540, 0), 215)
  end)
  it("of one step, and of a loss that stands still, is drawn too", function()
    for _, history in ipairs { { { 0.5, 1, 1 } }, { { 2, 1, 1 }, { 2, 1, 1 } }, {} } do
      equal(curve.picture({ history = history, validations = {} }).shape, { 600, 1000, 3 })
    end
  end)
end)

describe("safetensors", function()
  it("are read as they were written", function()
    local path = work .. "/x.safetensors"
    local list = { { "b.weight", tensor.from({ 1, 2, 3, 4, 5, 6 }, { 2, 3 }):transpose() },
      { "a", bytes({ 3 }, function(i) return i + 7 end) }, { "none", tensor.zeros({ 0 }) } }
    safetensors.write(path, list, { { "format", "pt" }, { "told", "one\ntwo \"three\"" } })
    local file = require("msagen.checkpoint").open(path)
    equal(file:names(), { "b.weight", "a", "none" })
    for _, pair in ipairs(list) do
      assert(file:tensor(pair[1]):equal(pair[2]), pair[1])
    end
    equal(file.metadata, { format = "pt", told = "one\ntwo \"three\"" })
    refuses(function() safetensors.write(work .. "/none/x", list, {}) end, work .. "/none/x")
  end)
  it("whose header is 640 bytes long are no pickles", function()
    local path, found = work .. "/y.safetensors", false
    for n = 500, 700 do
      safetensors.write(path, { { "a", one(1) } }, { { "k", ("x"):rep(n) } })
      local start = sys.read_start(path, 2)
      found = found or start == "\x80\x02"
      equal(require("msagen.checkpoint").open(path):tensor("a"):get(0), 1.0)
    end
    assert(found, "a header of 640 bytes is among them")
  end)
end)

describe("overlap", function()
  it("is what validation counts", function()
    local a, b = bytes({ 2, 3 }, function(i) return i < 4 and 255 or 0 end),
      bytes({ 2, 3 }, function(i) return i > 1 and 255 or 0 end)
    equal({ image.overlap(a, b) }, { 2, 8 })
  end)
end)

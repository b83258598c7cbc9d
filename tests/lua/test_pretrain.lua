-- SPDX-License-Identifier: Apache-2.0
-- Pre-training: its losses against differences of their own values; what objectives choose and begin with; turns; whole
-- runs by the naive kernels, which a state goes on with to the byte, and whose file is a base for more.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local losses, sys = spec.host "msagen.pretrain", spec.host "msagen.sys"
if not (losses and sys) then return end
local checkpoint, image, json, npy, safetensors, tensor = require "msagen.checkpoint", require "msagen.image",
  require "msagen.json", require "msagen.npy", require "msagen.safetensors", require "msagen.tensor"
local import, models, objectives, options, pretraining, sines, starts, turns = require "import.import",
  require "train_models", require "train.objectives", require "train.pretrain_options", require "train.pretraining",
  require "train.objectives.sines", require "train.starts", require "train.turns"
local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden-train/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-pretrain-")
sys.cleanup(work)

local CLASSES = { "f32-fma-1", "f32-muladd-1" }

-- Numbers in [-1, 1), the same on every machine.
local function noise(seed)
  local state = seed
  return function()
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) / 2 ^ 30 - 1
  end
end

local function numbers(seed, count)
  local list, next_one = {}, noise(seed)
  for i = 1, count do list[i] = next_one() end
  return list
end

local function doubles(list, shape) return tensor.in_double(tensor.from, list, shape) end

local function bytes(list) return tensor.frombytes(string.char(table.unpack(list)), "u8", { #list }) end

-- ---- losses ----

local PLACES, PIXELS, BATCH, WIDTH = 5, 4, 4, 6
local SHARES, PARTNERS = { 0.5, 0.75, 1, 0.875 }, { 1, 0, 2, 1 }

-- Losses as functions of one list of numbers. @return the value, and the gradient as a list
local LOSSES = {
  reconstruction = { PLACES * 3 * PIXELS, function(set, list, of)
    local patches = of(numbers(5, 3 * PLACES * PIXELS), { 3 * PLACES, PIXELS })
    local value, dx = set.reconstruction(of(list, { PLACES, 3 * PIXELS }), patches, bytes { 1, 0, 1, 1, 0 })
    return value, dx:totable()
  end },
  moved = { 2 * PLACES, function(set, list, of)
    local value, dx = set.moved(of(list, { PLACES, 2 }), bytes { 0, 1, 1, 0, 0 })
    return value, dx:totable()
  end },
  mixture = { 2 * BATCH * WIDTH, function(set, list, of)
    local half = BATCH * WIDTH
    local value, a, b = set.mixture(of({ table.unpack(list, 1, half) }, { BATCH, WIDTH }),
      of({ table.unpack(list, half + 1) }, { BATCH, WIDTH }), SHARES, PARTNERS, 0.2)
    local all = table.move(b:totable(), 1, half, half + 1, a:totable())
    for i, dx in ipairs(all) do all[i] = dx / BATCH end -- of the sum, which an update divides
    return value, all
  end },
}

describe("losses of pre-training", function()
  for name, loss in pairs(LOSSES) do
    it(name .. " have gradients that differences give", function()
      local set, list, step = losses.of "float64", numbers(3, loss[1]), 1e-4
      local _, dx = loss[2](set, list, doubles)
      equal(#dx, #list)
      for i = 1, #list do
        local x = list[i]
        local function at(by)
          list[i] = x + by * step
          local value = loss[2](set, list, doubles)
          list[i] = x
          return value
        end
        local expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
        assert(math.abs(dx[i] - expected) <= 1e-8, ("%d: %.12g, differences %.12g"):format(i, dx[i], expected))
      end
    end)
    it(name .. " are float64's within float32's rounding", function()
      local list = tensor.from(numbers(3, loss[1]), { loss[1] }):totable()
      local truth, dx = loss[2](losses.of "float64", list, doubles)
      for _, class in ipairs(CLASSES) do
        local value, own = loss[2](losses.of(class), list, tensor.from)
        assert(math.abs(value - truth) <= 2e-6 * math.max(1, truth), class .. ": another value")
        for i = 1, #dx do assert(math.abs(own[i] - dx[i]) <= 2e-6, class .. ": another gradient") end
      end
    end)
  end

  it("are those of Tamkin's and He's programs", function()
    local one = json.decode(sys.read_file(golden .. "pretrain-shed/case.json"), "case.json")
    local logits, sum = npy.read(golden .. "pretrain-shed/out_0.f64.npy"), 0
    local places, indices = logits.shape[2], npy.read(golden .. "pretrain-shed/indices.npy")
    local chosen, each = indices:totable(), indices.shape[2]
    for b = 1, one.batch do
      local marks = {}
      for place = 1, places do marks[place] = 0 end
      for k = 1, each do marks[math.tointeger(chosen[(b - 1) * each + k]) + 1] = 1 end
      sum = sum + losses.of("float64").moved(logits:slice(1, b - 1, 1):reshape { places, 2 }, bytes(marks))
    end
    assert(math.abs(sum / one.batch - one.loss_f64[1]) < 1e-9)
  end)

  it("refuse what is none", function()
    local set = losses.of "f32-fma-1"
    refuses(function() set.moved(tensor.zeros { 3, 2 }, bytes { 0, 2, 1 }) end, "marks of 0 and 1")
    refuses(function() set.moved(tensor.zeros { 3, 3 }, bytes { 0, 1, 1 }) end, "[places,2]")
    refuses(function() set.moved(tensor.from({ 0, 1e30 }, { 1, 2 }), bytes { 0 }) end, "below 2^60")
    refuses(function() set.reconstruction(tensor.zeros { 1, 12 }, tensor.zeros { 3, 4 }, bytes { 0 }) end, "expected")
    refuses(function() set.reconstruction(tensor.zeros { 1, 12 }, tensor.zeros { 2, 4 }, bytes { 1 }) end, "patches")
    refuses(function() set.mixture(tensor.zeros { 2, 2 }, tensor.zeros { 2, 2 }, { 1, 1 }, { 0, 2 }, 1) end,
      "numbers of the batch")
    refuses(function() losses.of "f16" end, "f32-fma-1")
  end)
end)

-- ---- objectives ----

describe("objectives", function()
  it("have MAE's fixed positions", function()
    local truth = npy.read(golden .. "pretrain-mae/decoder_pos.npy")
    local own = sines.of(7, 24):totable()
    for i, value in ipairs(truth:totable()) do assert(math.abs(own[i] - value) < 1e-7) end
    equal(#own, 7 * 7 * 24)
  end)

  it("choose rows that exist, the same for a key", function()
    local m = { grid = 6 }
    for name, objective in pairs(objectives.table) do
      if objective.choose then
        local a = objective.choose({ seed = 1, step = 2, image = 3 }, m, objective.sizes)
        equal(a, objective.choose({ seed = 1, step = 2, image = 3 }, m, objective.sizes))
        equal(#a.marked, 36)
        for _, row in ipairs(a.index) do assert(row >= 0 and row <= 36, name) end
      end
    end
    local mae = objectives.table.mae.chosen { true, false, true, false }
    equal({ mae.index, mae.back }, { { 1, 3 }, { 2, 0, 2, 1 } })
    equal(objectives.table["mae-grid"].chosen({ true, false, true, false }).index, { 4, 1, 4, 3 })
    equal(objectives.table.emix.mixture(0.75, "other"), { shares = { 0.75, 0.25 }, partner = "other" })
  end)

  it("begin with numbers of the seed", function()
    local m = models.of(work, "sam")
    local function head(seed) return select(2, objectives.head(objectives.table.emix, m, { dim = 8 }, nil, seed)) end
    local a, b, c = head(1), head(1), head(2)
    equal(#a, 4)
    for i, one in ipairs(a) do
      assert(one.tensor:equal(b[i].tensor))
      equal(one.tensor:equal(c[i].tensor), one.name:find "proj.weight" == nil)
    end
    equal(starts.tensor("x.norm.weight", { 2 }, 0):totable(), { 1, 1 })
  end)

  it("refuse sizes and networks that do not go together", function()
    local m = models.of(work, "sam")
    local function of(name, sizes, model)
      return function() objectives.network(model or m, name, { sizes = sizes }) end
    end
    refuses(of("mae", { dim = 30 }), "--mae-width 30", "multiple of 4")
    refuses(of("mae", { dim = 24, heads = 5 }), "--mae-heads 5", "divisor")
    refuses(of("mae-grid", { ratio = 0.999 }), "--mask-ratio 0.999")
    refuses(of("mae", nil, models.of(work, "sam-med2d")), "without convolutions")
    refuses(of("shed", nil, models.of(work, "mobile-sam")), "found tinyvit")
    refuses(of "meh", "--objective", "mae")
  end)
end)

-- ---- turns ----

-- A trainer that adds its number to what it trains.
local function fake(number, names)
  local flat, moments, step, list = {}, {}, 0, {}
  for i, name in ipairs(names) do
    list[i], flat[i], moments[i] = { name = name, shape = { 1 }, offset = i - 1, count = 1 }, 0, 0
  end
  local self = { parameters = list, model = {}, class = "f32-fma-1" }
  function self.values(_, kind)
    if kind == "step" then return step end
    return tensor.from(kind == "parameters" and flat or moments, { #names })
  end
  function self.set(_, kind, value)
    if kind == "step" then step = value
    elseif kind == "parameters" then flat = value:totable() else moments = value:totable() end
  end
  function self.update()
    step = step + 1
    for i in ipairs(names) do flat[i], moments[i] = flat[i] + number, moments[i] + 1 end
  end
  return self
end

describe("turns", function()
  local function made() return turns.of { fake(1, { "a", "b", "x" }), fake(10, { "a", "y" }), fake(100, { "b" }) } end
  local function steps(both, from, to)
    for step = from, to do
      both:turn(step)
      both:update {}
    end
  end
  it("share what several train, and keep the rest apart", function()
    local both = made()
    steps(both, 0, 4)
    local names = {}
    for i, one in ipairs(both.parameters) do names[i] = one.name end
    equal({ names, both:values("parameters"):totable() }, { { "a", "b", "x", "y" }, { 22, 102, 2, 20 } })
    equal(both:values("first"):totable(), { 2, 2, 2, 2, 2, 1 })
  end)
  it("go on from what was saved", function()
    local whole, first, second = made(), made(), made()
    steps(whole, 0, 6)
    steps(first, 0, 3)
    for _, kind in ipairs { "parameters", "first" } do second:set(kind, first:values(kind)) end
    second:set("step", 4)
    steps(second, 4, 6)
    for _, kind in ipairs { "parameters", "first" } do
      equal(second:values(kind):totable(), whole:values(kind):totable())
    end
    for i = 1, 3 do equal(second.list[i]:values "step", whole.list[i]:values "step") end
  end)
end)

-- ---- whole runs ----

local pictures = work .. "/pictures"
sys.mkdir(pictures)
for i = 1, 5 do
  local m = { image_size = 40 + i, depth = 1 }
  image.write_png(("%s/%d.png"):format(pictures, i), models.picture(m, i):reshape { 40 + i, 40 + i, 3 })
end

local function nothing() end

-- A run of the naive kernels. @return its digest, files, and the run
local function run(name, given, resume)
  local all = { data = pictures, base = (models.file(work, "sam")), dialect = "sam", batch = 2, features = 8,
    mae_width = 16, mae_heads = 2, mae_blocks = 1, out = ("%s/%s.safetensors"):format(work, name) }
  for key, value in pairs(given) do all[key] = value or nil end
  return pretraining.run(options.completed(all, "pretrain"), { class = "f32-fma-1", resume = resume, show = nothing,
    say = nothing, warn = nothing, trainer = require "train.passes".of })
end

local function contents(name) return sys.read_file(("%s/%s.safetensors"):format(work, name)) end

describe("msagen pretrain", function()
  it("goes on from a state to the same bytes, objectives in turn", function()
    local digest, _, whole = run("whole", { objective = "emix,mae,shed", steps = 4, schedule = "constant",
      warm_up = 0 })
    run("parted", { objective = "emix,mae,shed", steps = 2, schedule = "constant", warm_up = 0 })
    local again = run("parted", { objective = "emix,mae,shed", steps = 4, schedule = "constant", warm_up = 0 }, true)
    equal({ again, #whole.history }, { digest, 4 })
    assert(contents "whole" == contents "parted", "other bytes")
    for _, line in ipairs(whole.history) do assert(line[1] > 0 and line[3] > 0) end
    refuses(function() run("parted", { objective = "shed", steps = 9 }, true) end, "another")
  end)

  it("leaves a base for more, whose heads are gone on with and harm nothing", function()
    local base = work .. "/whole.safetensors"
    local file, before = checkpoint.open(base), checkpoint.open((models.file(work, "sam")))
    assert(file:has "pretrain.mae.mask_token" and file:has "pretrain.emix.proj.weight")
    equal(file:tensor("mask_decoder.iou_token.weight"):equal(before:tensor "mask_decoder.iou_token.weight"), true)
    equal(file:tensor("image_encoder.patch_embed.proj.weight")
      :equal(before:tensor "image_encoder.patch_embed.proj.weight"), false)
    local model = import.load(file, { dialect = "sam" })
    local _, head = objectives.head(objectives.table.emix, model, { dim = 8 }, function(name)
      return file:has(name) and file:tensor(name)
    end)
    for _, one in ipairs(head) do assert(one.tensor:equal(file:tensor(one.name))) end
    refuses(function() run("other", { base = base, objective = "emix", features = 9, steps = 1 }) end,
      "pretrain.emix.proj.weight is [8,64]; expected [9,64]")
    assert(#run("more", { base = base, objective = "shed", steps = 1 }) == 64)
  end)

  it("learns: MAE's loss on few pictures falls", function()
    local _, _, done = run("falls", { objective = "mae-grid", steps = 12, learning_rate = 3e-3, schedule = "constant",
      warm_up = 0, batch = 5 })
    assert(done.history[12][1] < 0.9 * done.history[1][1],
      ("%.4g, then %.4g"):format(done.history[1][1], done.history[12][1]))
  end)

  it("begins with random numbers of an architecture", function()
    local ckpt, dialect = starts.architecture("vit_t", nil, 32, 5)
    equal(dialect, "efficient-sam")
    local model = import.load(ckpt, { dialect = dialect, resolution = 32 })
    equal(model.encoder.dim, 192)
    refuses(function() starts.architecture("vit_b", "efficient-sam", 30, 0) end, "--resolution 30", "multiple")
    refuses(function() starts.architecture("vit_b", "mobile-sam", 64, 0) end, "--arch vit_b", "tinyvit")
  end)

  it("refuses in one line", function()
    local function of(given) return function() run("none", given) end end
    refuses(of { objective = "mae,mae-grid" }, "objective", "one of mae and mae-grid")
    refuses(of { objective = "mea" }, "objective", "mae")
    refuses(of { objective = "emix", batch = 1 }, "--batch 1", "at least 2")
    refuses(of { objective = "mae", arch = "vit_t" }, "--base", "both")
    refuses(of { objective = "mae", data = work .. "/nowhere" }, "--data", "nothing")
    refuses(of {}, "--objective: expected emix, mae, mae-grid or shed")
    sys.mkdir(work .. "/empty")
    refuses(of { objective = "mae", data = work .. "/empty" }, "expected pictures")
    sys.mkdir(work .. "/broken")
    sys.write_file(work .. "/broken/x.png", "no picture")
    refuses(of { objective = "mae", data = work .. "/broken" }, "x.png")
  end)

  it("takes heads that have no place for harmless, whoever wrote them", function()
    local file = checkpoint.open((models.file(work, "sam")))
    local list = { { "pretrain.else.weight", tensor.zeros { 2, 2 } } }
    for _, name in ipairs(file:names()) do list[#list + 1] = { name, file:tensor(name) } end
    safetensors.write(work .. "/heads.safetensors", list, { { "format", "pt" } })
    local model = import.load(checkpoint.open(work .. "/heads.safetensors"), { dialect = "sam" })
    equal(model.dialect, "sam")
  end)
end)

-- SPDX-License-Identifier: Apache-2.0
-- A training step of ViT-B with adapters (dialect msa-2025) by generated code and by PyTorch, in turns with OpenBLAS's
-- large product: luahost bench/train.lua [OPTIONS].
--   --resolution 512  --rounds 5  --board NAME (the best for this CPU)  --cores 2 (1: only one)  --side 2048 (of sgemm)
--   --arena auto|MiB  of the build that computes again what it does not keep; auto: so that its process takes at most a
-- quarter of PyTorch's memory
--   --python /usr/bin/python3 (one that has torch)  --torch yes|no
-- One image, one click, binary cross-entropy, Adam, all in f32. Loss and gradients of both must agree, or there is no
-- result. Needs libopenblas-dev and python3-torch; see bench/README.md.
local rig = require "rig"
local generated = require "train.generated"
local import = require "import.import"
local process = require "msagen.process"
local sets = require "train.sets"
local shards = require "import.shards"
local sys = require "msagen.sys"
local tensor = require "msagen.tensor"

local MiB, TICK_MS = 2 ^ 20, 10 -- a tick of /proc's processor time
local WORST_GRADIENT = 1e-3     -- of a tensor's largest entry: two f32 programs that add in other orders
local LOSS = { kind = "bce", pos_weight = 2 }
local ADAM = { kind = "adam", lr = 1e-4, betas = { 0.9, 0.999 }, eps = 1e-8 }

local options = rig.options { resolution = "512", rounds = "5", board = require("target.boards").best().name,
  cores = "2", side = "2048", arena = "auto", python = "/usr/bin/python3", torch = "yes", out = "out/bench" }
local side = math.tointeger(tonumber(options.resolution)) or rig.stop("--resolution: expected pixels, found %s",
  options.resolution)
local target_side = math.max(256, side // 4)
local checkpoint = rig.checkpoint("vit_b", options.resolution, "msa-2025")

-- ---- the step's input ----

local function bytes_of(count, byte)
  local list = {}
  for i = 0, count - 1 do list[i + 1] = string.char(byte(i)) end
  return table.concat(list)
end
local picture = bytes_of(side * side * 3, function(i) return i * 7919 % 251 end)
local target = bytes_of(target_side * target_side, function(i)
  local y, x = i // target_side, i % target_side
  return y > 0.4 * target_side and x > 0.4 * target_side and 1 or 0
end)

-- ---- processes ----

local function field(id, file, pattern)
  return tonumber(sys.read_file(("/proc/%d/%s"):format(id, file)):match(pattern))
end
local function peak_of(id) return 1024 * field(id, "status", "VmHWM:%s*(%d+)") end
local function busy_ms(id)
  local text = sys.read_file(("/proc/%d/stat"):format(id))
  local user, system = text:match("^%d+ %b() " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
  return (tonumber(user) + tonumber(system)) * TICK_MS
end

-- ---- msagen ----

local function build(name, cores, arena)
  local model = import.load(shards.open(checkpoint), { resolution = side, training = true, dialect = "msa-2025",
    depth = 1 })
  local trainer = generated.of(model, sets.of(model, nil, "bench"), { scores = false, cores = cores, batch = 1,
    dir = ("%s/train-%d-%s"):format(rig.out, side, name), board = options.board, target_side = target_side,
    arena_limit = arena })
  local made, self = trainer.build.made, { trainer = trainer, name = name, id = trainer.process:id() }
  self.arena, self.macs, self.again, self.takes = made.memory.bytes, made.macs, made.macs_again, rig.takes(made.macs)
  local image = tensor.frombytes(picture, "u8", { side, side, 3 })
  local truth = tensor.frombytes(target, "u8", { 1, target_side, target_side })
  local function step(update)
    trainer:encode(image)
    trainer:decode { points = { { side / 2, side / 2, 1 } }, multimask = false }
    self.loss = trainer:backward({ target = truth, loss = LOSS }).loss
    trainer:image_end()
    if update then trainer:update(ADAM) end
  end
  --- A step that is not measured. @param wanted is its gradient? @return the gradient, flat
  function self.first(wanted)
    step(false)
    self.peak = peak_of(self.id)
    local gradient = wanted and trainer:values "gradient"
    trainer:update(ADAM)
    return gradient
  end
  function self.turn()
    local start, busy = sys.monotonic_ns(), busy_ms(self.id)
    step(true)
    rig.add(self.takes, { (sys.monotonic_ns() - start) / 1e6 }, { busy_ms(self.id) - busy })
    self.peak = peak_of(self.id)
  end
  return self
end

-- ---- PyTorch ----

local function torch_program()
  local stem = ("%s/train-%d"):format(rig.out, side)
  sys.write_file(stem .. ".image", picture, true)
  sys.write_file(stem .. ".target", target, true)
  local talk = process.start { "env", "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", options.python,
    rig.folder .. "/train/step.py", checkpoint, options.resolution, "1", tostring(target_side),
    stderr = stem .. ".torch-errors" }
  local function ask(text)
    talk:write(text .. "\n")
    local line = {}
    while true do
      local byte = talk:read(1)
      if not byte then rig.stop("PyTorch ended; %s.torch-errors says why (Debian: python3-torch)", stem) end
      if byte == "\n" then return table.concat(line) end
      line[#line + 1] = byte
    end
  end
  ask("image " .. stem .. ".image")
  ask("target " .. stem .. ".target")
  local self = { name = "PyTorch", takes = rig.takes(0) }
  local function step()
    local loss, ms, cpu_ms, peak = ask("step"):match "(%S+) (%S+) (%S+) (%S+)"
    self.loss, self.peak = tonumber(loss), tonumber(peak) * 1024
    return { tonumber(ms) }, { tonumber(cpu_ms) }
  end
  --- @return name -> where a tensor's floats begin, and all gradients
  function self.first()
    step()
    local count = tonumber(ask("gradient " .. stem .. ".gradient"))
    local places, at = {}, 0
    for name, floats in ask("names"):gmatch "(%S+) (%d+)" do
      name = name:gsub("mlp%.layers%.0%.0%.", "mlp.lin1."):gsub("mlp%.fc%.", "mlp.lin2.") -- SAM's names
      places[name], at = at, at + tonumber(floats)
    end
    return places, tensor.frombytes(sys.read_file(stem .. ".gradient"), "f32", { count })
  end
  function self.turn() rig.add(self.takes, step()) end
  return self
end

-- The largest distance of two gradients, as a share of the tensor's largest entry; gradients of key biases are nothing
-- but rounding errors.
local function compare(kept, gradient, places, theirs)
  local worst, where = 0, "none"
  for _, one in ipairs(kept.trainer.parameters) do
    local largest, distance, from = 0, 0, places[one.name]
    for i = 0, one.count - 1 do
      local a, b = gradient:get(one.offset + i), theirs:get(from + i)
      largest, distance = math.max(largest, math.abs(b)), math.max(distance, math.abs(a - b))
    end
    if largest > 0 and not one.name:find "k_proj%.bias$" and distance / largest > worst then
      worst, where = distance / largest, one.name
    end
  end
  return worst, where
end

-- ---- turns ----

local torch = options.torch == "yes" and torch_program()
local kept = build("kept", 1)
local gradient = kept.first(true)
local limit = tonumber(options.arena) and tonumber(options.arena) * MiB
if torch then
  local places, theirs = torch.first()
  local worst, where = compare(kept, gradient, places, theirs)
  print(("loss %.7f, PyTorch %.7f; gradients differ by at most %.1e of a tensor's largest entry (%s)"):format(kept.loss,
    torch.loss, worst, where))
  if math.abs(kept.loss - torch.loss) > 1e-5 * torch.loss or worst > WORST_GRADIENT then
    rig.stop("expected the same loss and gradients as PyTorch's")
  end
  limit = limit or torch.peak / 4 - (kept.peak - kept.arena) - MiB
end
local builds = { kept }
if limit then builds[#builds + 1] = build("again", 1, limit // 1) end
local cores = math.tointeger(tonumber(options.cores))
if cores > 1 then
  builds[#builds + 1] = build(("kept-%d"):format(cores), cores)
  if limit then builds[#builds + 1] = build(("again-%d"):format(cores), cores, limit // 1) end
end
for i = 2, #builds do builds[i].first() end
local yards = {}
for _, threads in ipairs(cores > 1 and { 1, cores } or { 1 }) do
  local sgemm, facts = rig.sgemm(options.side, tostring(threads))
  yards[threads] = { sgemm = sgemm, facts = facts, takes = rig.takes() }
end
for _ = 1, tonumber(options.rounds) do
  for _, yard in pairs(yards) do
    local take = yard.sgemm()
    yard.takes.macs = yard.facts.macs
    rig.add(yard.takes, take.ms, take.cpu_ms)
  end
  for _, one in ipairs(builds) do one.turn() end
  if torch then torch.turn() end
end

-- ---- results ----

print(("vit_b, msa-2025, at %d, %s; sgemm %s^3 by OpenBLAS core %s"):format(side, options.board, options.side,
  yards[1].facts.core))
for threads, yard in pairs(yards) do rig.row(("sgemm, %d threads"):format(threads), yard.takes) end
for _, one in ipairs(builds) do
  local threads = one.trainer.build.made.cores
  rig.row(one.name, one.takes, yards[threads].takes)
  print(("%24s arena %.1f MiB, peak %.1f MiB, %.1f GMAC a step, of which %.1f again"):format("", one.arena / MiB,
    one.peak / MiB, one.macs / 1e9, one.again / 1e9))
end
if torch then
  torch.takes.macs = kept.macs
  rig.row(torch.name, torch.takes)
  print(("%24s peak %.1f MiB"):format("", torch.peak / MiB))
  for _, one in ipairs(builds) do
    if one.trainer.build.made.cores == 1 then
      print(("PyTorch / %s: time %s, memory %.2f"):format(one.name, rig.ratio(torch.takes, one.takes),
        torch.peak / one.peak))
    end
  end
end
if cores > 1 then
  local half = #builds // 2
  for i = 1, half do
    local a, b = builds[i].takes, builds[half + i].takes
    local mid, low = rig.median(a.ms)
    local other, other_low = rig.median(b.ms)
    print(("%s on %d cores: %.2f times as fast as on one (best takes %.2f)"):format(builds[i].name, cores, mid / other,
      low / other_low))
  end
end

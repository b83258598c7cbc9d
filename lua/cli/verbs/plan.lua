-- SPDX-License-Identifier: Apache-2.0
-- msagen plan SCRIPT.lua | CHECKPOINT [options] [--json]: what a build will be, before anything is compiled.
local layout = require "support.layout"
local options = require "cli.device_options"
local precisions = require "estimate.precisions"
local terminal = require "support.terminal"

local verb = {}

function verb.setup(command)
  options.setup(command, true)
  command:flag("--json", "For machines: one JSON array, an object for each device.")
end

local function object(p, one, where)
  local json = require "msagen.json"
  local places, layers, memories = {}, {}, {}
  for thing, memory in pairs(p.places) do places[thing] = memory.name end
  for i, L in ipairs(p.layers) do
    layers[i] = { name = L.name, kind = L.kind, phase = L.phase, ms = L.ms, macs = L.macs, bytes = L.bytes,
      bound = L.bound }
  end
  for i, memory in ipairs(p.memories) do
    memories[i] = { name = memory.name, kind = memory.kind, bytes = memory.bytes < math.huge and memory.bytes
      or json.null, holds = json.array(memory.holds) }
  end
  return { input = where, name = one.name or json.null, dialect = p.model.dialect, board = p.board.name,
    input_size = p.model.image_size, preparation = p.model.preparation, depth = p.model.depth, cores = p.cores,
    encode_ms = p.encode_ms, decode_ms = p.decode_ms, macs_encode = p.macs_encode, macs_decode = p.macs_decode,
    arena_bytes = p.bytes.arena, arena_bound_bytes = p.bound, weights_bytes = p.bytes.weights or p.bytes.stored,
      storage = p.storage or json.null, code_bytes = p.bytes.code,
    precision = p.build.precision, weights_by_precision = json.array(precisions.of(p.build)),
    places = places, memories = json.array(memories),
      rates = { fma = p.rates.fma, bandwidth = p.rates.bandwidth or json.null, measured = p.rates.measured },
      layers = json.array(layers) }
end

-- The share of each kind of layer, the slowest first.
local function by_kind(p)
  local list, seen = {}, {}
  for _, L in ipairs(p.layers) do
    local key = L.phase .. " " .. L.kind
    if not seen[key] then
      seen[key] = { phase = L.phase, kind = L.kind, ms = 0, count = 0, bound = L.bound, most = 0 }
      list[#list + 1] = seen[key]
    end
    local entry = seen[key]
    entry.ms, entry.count = entry.ms + L.ms, entry.count + 1
    if L.ms > entry.most then entry.most, entry.bound = L.ms, L.bound end
  end
  for i, entry in ipairs(list) do entry.place = i end
  table.sort(list, function(a, b)
    if a.phase ~= b.phase then return a.phase == "encode" end
    if a.ms ~= b.ms then return a.ms > b.ms end
    return a.place < b.place
  end)
  return list
end

-- How fast the phases are, and what is fetched from a storage, as lines.
local function phases(p, say)
  for _, phase in ipairs { "encode", "decode" } do
    local ms, macs = p[phase .. "_ms"], p["macs_" .. phase]
    say(phase, ("%9.2f ms"):format(ms), ("%.2f G multiply-adds, %.0f %% of the peak%s"):format(macs / 1e9,
      100 * macs / (ms / 1e3) / (p.rates.fma * p.cores), phase == "decode" and "; one click" or ""))
  end
end

local function storage(p, say)
  say("weights", layout.bytes(p.bytes.stored), "in a storage that is no memory")
  for _, phase in ipairs { "encode", "decode" } do
    local s = p.storage[phase]
    say(phase, layout.bytes(s.bytes), ("fetched%s, %s of it awaited, through buffers of %s and %s; the rest is hidden "
      .. "by %.4g MB a second (%s), %.4g on average"):format(phase == "decode" and p.model.depth > 1 and " a slice"
      or "", layout.bytes(s.waited), layout.bytes(s.buffers[1]), layout.bytes(s.buffers[2]), s.rate / 1e6, s.layer,
      s.mean / 1e6))
  end
end

-- Memory of a front end: a batch of lines, and the frame.
local function front_parts(self)
  local list = {}
  for i, one in ipairs(self.buffers) do list[i] = ("%s %s"):format(one.name, layout.bytes(one.bytes)) end
  if self.own > 0 then list[#list + 1] = "scratch " .. layout.bytes(self.own) end
  return table.concat(list, ", ")
end

local function show(p, title)
  local width, paint = terminal.columns(), terminal.painter(1)
  local lines = layout.hanging(title .. ": ", ("%s, %d x %d%s, %s, %d core%s"):format(p.model.dialect,
    p.model.image_size, p.model.image_size, p.model.depth > 1 and (" x %d slices"):format(p.model.depth) or "",
    p.board.name, p.cores, p.cores > 1 and "s" or ""), width, 2)
  layout.append(lines, layout.hanging("  image    ", p.model.preparation, width))
  local function say(what, amount, text)
    layout.append(lines, layout.hanging(("  %-8s %12s  "):format(what, amount), text, width))
  end
  phases(p, say)
  say("arena", layout.bytes(p.bytes.arena), ("in %s; lower bound %s"):format(p.places.arena.name,
    layout.bytes(p.bound)))
  local parts = precisions.spoken(precisions.of(p.build))
  if p.storage then
    storage(p, say)
    if parts ~= "" then say("", "", "of these " .. parts) end
  else
    say("weights", layout.bytes(p.bytes.weights), "in " .. p.places.weights.name .. (parts ~= "" and ": " .. parts
      or ""))
  end
  if p.build.front then
    layout.append(lines, layout.hanging("  front    ", ("%s; of the arena %s: %s"):format(p.build.front.facts,
      layout.bytes(p.build.front.bytes), front_parts(p.build.front)), width))
  end
  say("code", layout.bytes(p.bytes.code), "in " .. p.places.code.name)
  layout.append(lines, layout.hanging("  a core   ", ("%.4g G multiply-adds a second at most, %s"):format(
    p.rates.fma / 1e9, p.rates.measured
      and ("%.3g GB a second from memory: measured on this machine now"):format(p.rates.bandwidth / 1e9)
      or "by the board's clock"), width))
  local rows = { { "  phase", "kind of layer", "layers", "ms", "held by" } }
  for i, entry in ipairs(by_kind(p)) do
    rows[i + 1] = { "  " .. entry.phase, entry.kind, tostring(entry.count), ("%.3f"):format(entry.ms), entry.bound }
  end
  layout.append(lines, layout.table(rows, { width = width, right = { [3] = true, [4] = true }, paint = paint }))
  io.stdout:write(table.concat(lines, "\n"), "\n")
end

-- The plan of a training build: what keeping values of the forward pass costs.
local function of_training(one, title, as_json)
  local build, choices = require("train.built").plan(one.device, title)
  local memory, json = build.made.memory, require "msagen.json"
  if as_json then
    local list = {}
    for i, row in ipairs(choices) do
      list[i] = { kept = row.kept, of = row.of, arena_bound_bytes = row.bytes, macs = row.macs, macs_again = row.again }
    end
    return { input = title, name = one.name or json.null, board = build.board.name, cores = build.made.cores,
      arena_bytes = memory.bytes, arena_bound_bytes = memory.bound, macs = build.made.macs,
      macs_again = build.made.macs_again, choices = json.array(list) }
  end
  local width = terminal.columns()
  local lines = layout.hanging(title .. ": ", ("a training step of %s, %d x %d, %s: arena %s (lower bound %s), "
    .. "%.4g G multiply-adds an image and prompt, %.4g G of them done again"):format(build.model.dialect,
    build.model.image_size, build.model.image_size, build.board.name, layout.bytes(memory.bytes),
    layout.bytes(memory.bound), build.made.macs / 1e9, build.made.macs_again / 1e9), width, 2)
  local rows = { { "  values kept", "arena", "multiply-adds", "of them again" } }
  for i, row in ipairs(choices) do
    rows[i + 1] = { ("  %d of %d"):format(row.kept, row.of), layout.bytes(row.bytes), ("%.4g G"):format(row.macs / 1e9),
      ("%.4g G"):format(row.again / 1e9) }
  end
  layout.append(lines, layout.table(rows, { width = width, right = { [2] = true, [3] = true, [4] = true },
    paint = terminal.painter(1) }))
  io.stdout:write(table.concat(lines, "\n"), "\n")
end

-- A front end alone.
local function of_front(one, title, as_json)
  local build, json = require("signal.built").lower(one.device, title), require "msagen.json"
  local self = build.front
  if as_json then
    local steps, buffers = require("signal.front").facts(self)
    return { input = title, name = one.name or json.null, board = build.board.name, frontend = self.facts,
      arena_bytes = self.bytes, scratch_bytes = self.own, lanes = self.W, steps = json.array(steps),
      buffers = json.array(buffers) }
  end
  local width = terminal.columns()
  local lines = layout.hanging(title .. ": ", ("%s, %s, %d line%s at a time"):format(self.facts, build.board.name,
    self.W, self.W == 1 and "" or "s"), width, 2)
  layout.append(lines, layout.hanging("  arena    ", ("%s: %s; what is not needed at a time shares a place"):format(
    layout.bytes(self.bytes), front_parts(self)), width))
  for i, step in ipairs(self.steps) do
    layout.append(lines, layout.hanging(("  step %-3d "):format(i - 1), ("%s, of each %s: %s"):format(step.name,
      step.per == "batch" and "batch of lines" or "frame", step.what), width))
  end
  io.stdout:write(table.concat(lines, "\n"), "\n")
end

function verb.run(args)
  local plan = require "estimate.plan"
  local devices = options.asked(args, "plan")
  if not devices then return 2 end
  local json = require "msagen.json"
  local where, list = args.input or "plan", {}
  for i, one in ipairs(devices) do
    local title = one.name and where .. " " .. one.name or where
    if one.device.train then list[i] = of_training(one, title, args.json)
    elseif one.device.frontend and not one.device.checkpoint and not one.device.banks then
      list[i] = of_front(one, title, args.json)
    else
      local p = plan.make(one.device, where)
      for _, bank in ipairs(p.build.banks) do
        for _, warning in ipairs(bank.model.warnings) do require("cli.progress").warn(warning, bank.name) end
      end
      if args.json then list[i] = object(p, one, where) else show(p, title) end
    end
  end
  if args.json then io.stdout:write(json.encode(json.array(list), { indent = 1 }), "\n") end
  return 0
end

return verb

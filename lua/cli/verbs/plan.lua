-- SPDX-License-Identifier: Apache-2.0
-- msagen plan SCRIPT.lua | CHECKPOINT [options] [--json]: what a build will be, before anything is compiled.
local options = require "cli.device_options"

local verb = {}

function verb.setup(command)
  options.setup(command)
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

local function show(p, title)
  local megabytes = require("estimate.plan").megabytes
  local out = {}
  local function say(...) out[#out + 1] = string.format(...) end
  say("%s: %s, %d x %d%s, %s, %d core%s", title, p.model.dialect, p.model.image_size, p.model.image_size,
    p.model.depth > 1 and (" x %d slices"):format(p.model.depth) or "",
    p.board.name, p.cores, p.cores > 1 and "s" or "")
  say("  image    %s", p.model.preparation)
  for _, phase in ipairs { "encode", "decode" } do
    local ms, macs = p[phase .. "_ms"], p["macs_" .. phase]
    say("  %-8s %11.2f ms  %7.2f G multiply-adds, %3.0f %% of the peak%s", phase, ms, macs / 1e9,
      100 * macs / (ms / 1e3) / (p.rates.fma * p.cores), phase == "decode" and "; one click" or "")
  end
  say("  arena    %14s  in %s; lower bound %s", megabytes(p.bytes.arena), p.places.arena.name, megabytes(p.bound))
  if p.storage then
    say("  weights  %14s  in a storage that is no memory", megabytes(p.bytes.stored))
    for _, phase in ipairs { "encode", "decode" } do
      local s = p.storage[phase]
      say("  %-8s fetches %s%s, %s of them awaited, through buffers of %s and %s; the rest is hidden by %.4g MB a "
        .. "second (%s), %.4g on average", phase, megabytes(s.bytes),
        phase == "decode" and p.model.depth > 1 and " a slice" or "", megabytes(s.waited), megabytes(s.buffers[1]),
        megabytes(s.buffers[2]), s.rate / 1e6, s.layer, s.mean / 1e6)
    end
  else
    say("  weights  %14s  in %s", megabytes(p.bytes.weights), p.places.weights.name)
  end
  say("  code     %14s  in %s", megabytes(p.bytes.code), p.places.code.name)
  say("  a core: %.4g G multiply-adds a second at most, %s", p.rates.fma / 1e9,
    p.rates.measured and ("%.3g GB a second from memory: measured on this machine now"):format(p.rates.bandwidth / 1e9)
      or "by the board's clock")
  say("  %-8s %-24s %6s %11s  %s", "phase", "layers", "", "ms", "held by")
  for _, entry in ipairs(by_kind(p)) do
    say("  %-8s %-24s %6d %11.3f  %s", entry.phase, entry.kind, entry.count, entry.ms, entry.bound)
  end
  io.stdout:write(table.concat(out, "\n"), "\n")
end

function verb.run(args)
  local plan = require "estimate.plan"
  local devices = options.asked(args, "plan")
  if not devices then return 2 end
  local json = require "msagen.json"
  local where, list = args.input or "plan", {}
  for i, one in ipairs(devices) do
    local p = plan.make(one.device, where)
    for _, bank in ipairs(p.build.banks) do
      for _, warning in ipairs(bank.model.warnings) do require("cli.progress").warn(warning, bank.name) end
    end
    if args.json then list[i] = object(p, one, where) else show(p, one.name and where .. " " .. one.name or where) end
  end
  if args.json then io.stdout:write(json.encode(json.array(list), { indent = 1 }), "\n") end
  return 0
end

return verb

-- SPDX-License-Identifier: Apache-2.0
--- What a page says of a build, read off its opened folder (lua/run/folder.lua): the arena's buffers over time, the
-- layers with their times, and how it was made. A manifest without what is needed is refused.
local fail = require "support.fail"
local profile = require "run.profile"

local build_facts = {}

local function count(value) return math.type(value) == "integer" and value >= 0 end

-- The moments of the plan of the arena, in order, by the names that the manifest has for them (docs/folder.md), and the
-- layer of each.
local function moments_of(phases)
  local names, layers, at = {}, {}, {}
  local function add(name, layer)
    names[#names + 1], layers[#names + 1] = name, layer
    at[name] = #names
  end
  for i, L in ipairs(phases.encode) do add(("encode %d"):format(i - 1), L.name) end
  add "tokens"
  for i, L in ipairs(phases.decode) do add(("decode %d"):format(i - 1), L.name) end
  add "results"
  return names, layers, at
end

-- What a buffer is for: a layer's scratch, fetched weights, what results are read from, or a value between layers.
local function kind_of(b, last)
  if b.name:find "^scratch " then return "scratch" end
  if b.name == "tables" or b.name:find "^held " or b.name:find "^weights %a+ %d$" then return "weights" end
  return b.last == last and "result" or "value"
end

--- The arena over time.
-- @return { bytes, bound, moments = names in order, layers = moment -> its layer's name, phases = {{ name, first,
-- last }...}, buffers = {{ name, label, kind, offset, bytes, first, last }...} }; first and last are indices of
-- moments, both inclusive; kind is "value", "scratch", "result" or "weights"
function build_facts.memory(folder)
  local phases = profile.phases(folder)
  local names, layers, at = moments_of(phases)
  local what = folder.path .. "/manifest.json: buffers"
  local memory = { bytes = folder.arena_bytes, bound = folder.arena_bound_bytes, moments = names, layers = layers,
    buffers = {}, phases = { { name = "encode", first = 1, last = #phases.encode },
      { name = "decode", first = #phases.encode + 1, last = #names } } }
  if type(folder.buffers) ~= "table" or #folder.buffers == 0 then
    fail("%s: expected the buffers of the arena, found none: build the folder again", what)
  end
  for i, b in ipairs(folder.buffers) do
    local first, last = at[type(b) == "table" and b.first], at[type(b) == "table" and b.last]
    if not first or not last or first > last or type(b.name) ~= "string" or not count(b.offset) or not count(b.bytes)
      or b.offset + b.bytes > memory.bytes then
      fail("%s: expected name, place and life of each buffer, found others of buffer %d: build the folder again", what,
        i)
    end
    local one = { name = b.name, label = b.name:gsub("^scratch ", ""), offset = b.offset, bytes = b.bytes,
      first = first, last = last }
    one.kind = kind_of(one, #names)
    memory.buffers[i] = one
  end
  return memory
end

-- The times of a profile, by phase and number; refused where it is of another build.
local function measured(p, phases, where)
  local ms = { encode = {}, decode = {} }
  for _, row in ipairs(p.layers) do ms[row.phase][row.number + 1] = row.ms end
  for phase, list in pairs(phases) do
    if #ms[phase] ~= #list then
      fail("%s: expected a profile of this build, of %d layers of %s, found %d", where, #list, phase, #ms[phase])
    end
  end
  return ms
end

--- The layers with their work, and their times: measured where there is a profile, else the plan's prediction where the
-- manifest has it.
-- @param p a profile (lua/run/profile.lua), or nil
-- @return { basis = "measured", "predicted" or "macs", clock = of the profile, emulated, image, repetitions, hz = the
-- board's nominal clock or nil, encode = {{ name, kind, number, macs, bytes, ms, product_cycles, other_cycles }...},
-- decode }
function build_facts.layers(folder, p)
  local phases, times = profile.phases(folder), nil
  if p then times = measured(p, phases, folder.path) end
  local out = { encode = {}, decode = {}, depth = folder.depth, cores = count(folder.cores) and folder.cores or 1,
    hz = profile.khz(folder) > 0 and profile.khz(folder) * 1000 or nil }
  local predicted = true
  for phase, list in pairs(phases) do
    for i, L in ipairs(list) do
      out[phase][i] = { name = L.name, kind = L.kind, number = L.number, macs = L.macs, bytes = L.bytes,
        ms = times and times[phase][i], product_cycles = count(L.product_cycles) and L.product_cycles or nil,
        other_cycles = count(L.other_cycles) and L.other_cycles or nil }
      predicted = predicted and out[phase][i].product_cycles and out[phase][i].other_cycles
    end
  end
  out.basis = p and "measured" or predicted and "predicted" or "macs"
  if p then out.clock, out.emulated, out.image, out.repetitions = p.clock, p.emulated, p.image, p.repetitions end
  return out
end

local function text(value) return type(value) == "string" and value ~= "" and value or nil end

--- How a build was made: names with values, in order; only what the manifest has.
function build_facts.made(folder)
  local list = {}
  local function put(name, value)
    if value ~= nil then list[#list + 1] = { name = name, value = value } end
  end
  local checkpoint = type(folder.checkpoint) == "table" and folder.checkpoint or {}
  put("Checkpoint, SHA-256", text(checkpoint.sha256))
  put("Dialect", text(checkpoint.dialect))
  put("Weights, SHA-256", text(folder.weights_sha256))
  put("Model hash", text(folder.model_hash))
  put("Board", text(folder.board))
  put("Arithmetic", text(folder.arithmetic))
  put("Precision", text(folder.precision))
  put("Input", ("%d × %d%s"):format(folder.input_size, folder.input_size,
    folder.depth > 1 and (" × %d slices"):format(folder.depth) or ""))
  put("Preparation", text(folder.preparation))
  put("Cores", count(folder.cores) and tostring(folder.cores) or nil)
  local banks = {}
  for i, bank in ipairs(folder.banks) do banks[i] = bank.name end
  put("Targets", #banks > 0 and table.concat(banks, ", ") or nil)
  put("Phrases", #folder.texts > 0 and table.concat(folder.texts, ", ") or nil)
  put("Build", text(folder.build))
  put("msagen", text(folder.version))
  return list
end

--- The facts of a model that a page's head says: { dialect, board, input_size, depth, arena_bytes, weights_bytes,
-- macs_encode, macs_decode }.
function build_facts.model(folder)
  local model = { dialect = type(folder.checkpoint) == "table" and text(folder.checkpoint.dialect) or nil }
  for _, name in ipairs { "board", "input_size", "depth", "arena_bytes", "weights_bytes", "macs_encode",
    "macs_decode" } do
    model[name] = folder[name]
  end
  return model
end

return build_facts

-- SPDX-License-Identifier: Apache-2.0
--- A profile: the manifest's layers with the times that the runner took of them, held against what the core can do at
-- most.
-- docs/profile.md says what each field means.
local closed = require "support.closed"
local fail = require "support.fail"
local layout = require "support.layout"

local profile = {}

local FIELDS = { { "name", "string" }, { "kind", "string" }, { "phase", "string" }, { "number", "integer" },
  { "macs", "integer" }, { "bytes", "integer" } }

--- Layers of each phase as the runner counts them; a manifest without what a profile needs is refused.
function profile.phases(folder)
  local phases = { encode = {}, decode = {} }
  local what = folder.path .. "/manifest.json: layers"
  for i, layer in ipairs(type(folder.layers) == "table" and folder.layers or {}) do
    for _, field in ipairs(FIELDS) do
      local value = type(layer) == "table" and layer[field[1]] or nil
      if (math.type(value) or type(value)) ~= field[2] or field[2] == "integer" and value < 0 then
        fail("%s: expected name, kind, phase, number, macs and bytes of each layer, found no such %s of layer %d: "
          .. "build the folder again", what, field[1], i)
      end
    end
    local list = phases[layer.phase]
    if not list then
      fail("%s: expected phase encode or decode, found %s of layer %d%s", what, layer.phase, i,
        closed.hint(layer.phase, { "encode", "decode" }))
    end
    if layer.number ~= #list then
      fail("%s: expected layer %d of %s, found number %d: build the folder again", what, #list, layer.phase,
        layer.number)
    end
    list[#list + 1] = layer
  end
  if #phases.encode == 0 or #phases.decode == 0 then
    fail("%s: expected layers of encode and decode, found %d and %d", what, #phases.encode, #phases.decode)
  end
  return phases
end

--- The nominal clock of the board's core in kHz, by which its cycles are shown as milliseconds; 0 where its file does
-- not say.
function profile.khz(folder)
  local hz = folder.clock
  return type(hz) == "number" and hz >= 1000 and hz < 4e12 and math.tointeger(hz // 1000) or 0
end

--- What the runner's lines say: { encode_ms, decode_ms, fma_gmacs, read_gbytes, clock, encode = {{ms, least}..., whole
-- = ms}, decode }.
function profile.measured(lines)
  local m = { encode = {}, decode = {} }
  for _, line in ipairs(lines) do
    local phase, i, ms, least = line:match "^layer (%a+) (%d+) (%S+) (%S+)$"
    local all, whole = line:match "^whole (%a+) (%S+) %S+$"
    local name, value = line:match "^([%a_]+) ([%d.]+)$"
    if phase and type(m[phase]) == "table" then m[phase][math.tointeger(i) + 1] = { ms = tonumber(ms),
      least = tonumber(least) }
    elseif all and type(m[all]) == "table" then m[all].whole = tonumber(whole)
    elseif name and type(m[name]) ~= "table" then m[name] = tonumber(value)
    else m.clock = line:match "^clock (%a+)$" or m.clock
    end
  end
  return m
end

-- Rates and the bound of so many milliseconds. `peak` is that of all cores: all, 10^9 multiply-adds, and read, 10^9
-- bytes a second.
local function rate(row, peak)
  row.gmacs_per_s = row.ms > 0 and row.macs / row.ms / 1e6 or 0.0
  row.percent_of_peak = 100 * row.gmacs_per_s / peak.all
  row.times_bound = row.bound_ms > 0 and row.ms / row.bound_ms or 0.0
  return row
end

local function bounds(row, peak)
  row.compute_ms = row.macs / peak.all / 1e6
  row.memory_ms = row.bytes / peak.read / 1e6
  row.bound = row.compute_ms >= row.memory_ms and "compute" or "memory"
  row.bound_ms = math.max(row.compute_ms, row.memory_ms)
  return rate(row, peak)
end

-- Layers added up: each is held by its own bound.
local function sum(rows, into, peak)
  for _, key in ipairs { "ms", "macs", "bytes", "compute_ms", "memory_ms", "bound_ms" } do
    local total = 0
    for _, row in ipairs(rows) do total = total + row[key] end
    into[key] = total
  end
  into.layers = #rows
  into.bound = into.compute_ms >= into.memory_ms and "compute" or "memory"
  return rate(into, peak)
end

-- Of times that are cycles of the core: the cycles, and multiply-adds in each.
local function in_cycles(rows, khz)
  for _, row in ipairs(rows) do
    row.cycles = math.floor(row.ms * khz + 0.5)
    row.macs_per_cycle = row.cycles > 0 and row.macs / row.cycles or 0.0
  end
end

--- The profile of a folder, as it is written to a file.
-- @param m profile.measured  @param facts what else it holds: { repetitions =, image = whether one was given }
function profile.make(folder, m, facts)
  local cores = math.type(folder.cores) == "integer" and folder.cores or 1
  if not (m.fma_gmacs and m.fma_gmacs > 0 and m.read_gbytes and m.read_gbytes > 0) then
    fail("%s: %s: expected peaks of this core, found none", folder.path, folder.runner)
  end
  for _, phase in ipairs { "encode", "decode" } do
    if not m[phase].whole or type(m[phase .. "_ms"]) ~= "number" then
      fail("%s: %s: expected the time of %s, found none", folder.path, folder.runner, phase)
    end
  end
  local peak = { all = m.fma_gmacs * cores, read = m.read_gbytes }
  local json, phases = require "msagen.json", profile.phases(folder)
  local p = { format = "msagen-profile-1", generator = "msagen", version = msagen.version, board = folder.board,
    model_hash = folder.model_hash, input_size = folder.input_size,
    depth = folder.depth, cores = cores, emulated = type(folder.emulator) == "table", repetitions = facts.repetitions,
      image = facts.image and "given" or "synthetic", clock = m.clock,
      peak = { fma_gmacs_per_s = m.fma_gmacs, read_gbytes_per_s = m.read_gbytes },
    layers = json.array {}, kinds = json.array {} }
  for _, phase in ipairs { "encode", "decode" } do
    local rows, kinds = {}, {}
    for i, layer in ipairs(phases[phase]) do
      local taken = m[phase][i]
      if not taken then fail("%s: %s: expected the time of %s, found none", folder.path, folder.runner, layer.name) end
      local row = bounds({ name = layer.name, kind = layer.kind, phase = phase, number = layer.number, ms = taken.ms,
        least_ms = taken.least, macs = layer.macs, bytes = layer.bytes }, peak)
      rows[i], p.layers[#p.layers + 1] = row, row
      local kind = kinds[layer.kind]
      if not kind then
        kind = {}
        kinds[layer.kind], kinds[#kinds + 1] = kind, kind
      end
      kind[#kind + 1] = row
    end
    for _, list in ipairs(kinds) do p.kinds[#p.kinds + 1] = sum(list, { kind = list[1].kind, phase = phase }, peak) end
    p[phase] = sum(rows, { whole_ms = m[phase].whole, wall_ms = m[phase .. "_ms"] / (phase == "decode" and folder.depth
      or 1) }, peak)
  end
  if m.clock == "cycles" then
    local khz = profile.khz(folder)
    p.clock_hz = khz * 1000
    for _, rows in ipairs { p.layers, p.kinds, { p.encode, p.decode } } do in_cycles(rows, khz) end
  end
  return p
end

local NAME = 24 -- columns: longer names are shortened, and whole in the JSON

-- A number with as many decimals, at most, as its column has room for.
local function number(value, width, decimals)
  for d = decimals, 1, -1 do
    local text = ("%." .. d .. "f"):format(value)
    if #text <= width then return text end
  end
  return ("%.0f"):format(value)
end

-- The columns behind the name: title, width, and text of a row; of boards whose cycles are counted, these.
local MS = { "ms", 8, function(r) return number(r.ms, 8, 3) end }
local PEAK = { "% peak", 6, function(r) return number(r.percent_of_peak, 6, 1) end }
local BOUND = { "bound", -8, function(r) return " " .. r.bound end }
local TIMES = { "times", 6, function(r) return number(r.times_bound, 6, 2) end }
local PLAIN = { MS, { "10^6 MAC", 8, function(r) return number(r.macs / 1e6, 8, 2) end },
  { "GMAC/s", 6, function(r) return number(r.gmacs_per_s, 6, 2) end }, PEAK,
  { "MB", 7, function(r) return number(r.bytes / 1e6, 7, 2) end }, BOUND, TIMES }
local COUNTED = { MS, { "cycles", 11, function(r) return ("%d"):format(r.cycles) end },
  { "MAC/cycle", 9, function(r) return number(r.macs_per_cycle, 9, 4) end }, PEAK, BOUND, TIMES }

-- A line of the table. @param text function(column) -> its text
local function line_of(name, columns, text)
  local cells = { ("%-" .. NAME .. "s"):format(layout.shortened(name, NAME)) }
  for i, column in ipairs(columns) do cells[i + 1] = ("%" .. column[2] .. "s"):format(text(column)) end
  return table.concat(cells, " ")
end

-- What the numbers are of.
local function introduction(p)
  return ("peak %.1f GMAC/s%s, memory read at %.1f GB/s; medians of %d by %s%s%s"):format(p.peak.fma_gmacs_per_s,
    p.cores > 1 and (", of all %d cores %.1f"):format(p.cores, p.cores * p.peak.fma_gmacs_per_s) or "",
    p.peak.read_gbytes_per_s, p.repetitions, p.clock == "cpu" and "processor time"
      or p.clock_hz and ("cycles at a nominal %.4g MHz"):format(p.clock_hz / 1e6) or "the time of day",
    p.depth > 1 and ("; decode: one of %d slices"):format(p.depth) or "",
    p.emulated and "; emulated: times are not the board's" or "")
end

--- The profile as a table for a terminal of 80 columns.
function profile.text(p)
  local out, columns = layout.hanging("", introduction(p), 80, 2), p.clock_hz and COUNTED or PLAIN
  local function row(name, r) out[#out + 1] = line_of(name, columns, function(column) return column[3](r) end) end
  local function title(name)
    out[#out + 1] = ""
    out[#out + 1] = line_of(name, columns, function(column) return (column == BOUND and " " or "") .. column[1] end)
  end
  for _, phase in ipairs { "encode", "decode" } do
    local total = p[phase]
    title(phase)
    for _, r in ipairs(p.layers) do
      if r.phase == phase then row(r.name, r) end
    end
    title(phase .. ", kinds")
    for _, r in ipairs(p.kinds) do
      if r.phase == phase then row(("%s x %d"):format(r.kind, r.layers), r) end
    end
    row("all layers", total)
    out[#out + 1] = ("whole %s %.3f ms%s"):format(phase, total.whole_ms, p.clock ~= "wall"
      and (", %.3f ms by the time of day"):format(total.wall_ms) or "")
  end
  return table.concat(out, "\n")
end

return profile

-- SPDX-License-Identifier: Apache-2.0
-- What a change of the compiler's inside must leave as it is, held against tests/oracle.json: for small models x boards
-- x cores x ways to hold weights, the parts of the blob, the arena and its bound, multiply-adds and bytes of each
-- layer, all exactly; predicted cycles within 5 %. Nothing is compiled, but with --text, which compares bytes of .text
-- as well:
-- those are of the compilers of the machine that wrote the table.
-- luahost run_oracle.lua [--text]; --accept (make accept-oracle) writes the table anew, in the commit of the change.
local sys = require "msagen.sys"
local json = require "msagen.json"
local sha256 = require "msagen.sha256"
local cases = require "cases"
local closed = require "support.closed"
local tally = require "tally"
package.path = ("%s/lua/?.lua;%s"):format(tally.tests, package.path)
local parts = require "parts"
local predict = require "estimate.predict"
local tiny = require "tiny_model"

local TOLERANCE = 0.05
local BOARDS, CORES = { "x86-64-avx2", "generic-c99" }, { 1, 3 }
local path, work = tally.tests .. "/oracle.json", tally.folder "oracle"
local options = {}
for _, word in ipairs(arg) do options[word] = true end
local accept, text = options["--accept"], options["--accept"] or options["--text"]

-- A copy of a file in which the first two values of some tensors have changed places.
local function changed_copy(from, to, names)
  local bytes = sys.read_file(from)
  local length = string.unpack("<I8", bytes)
  local header = json.decode(bytes:sub(9, 8 + length), from)
  for _, name in ipairs(names) do
    local at = 9 + length + header[name].data_offsets[1]
    bytes = bytes:sub(1, at - 1) .. bytes:sub(at + 4, at + 7) .. bytes:sub(at, at + 3) .. bytes:sub(at + 8)
  end
  sys.write_file(to, bytes)
  return to
end

local function golden(name, depth, chunk)
  local case = cases.read(name)
  return function()
    return { checkpoint = ("%s/%s/checkpoint.pth"):format(cases.folder, name), dialect = case.dialect,
      resolution = case.image_size, depth = depth, chunk = chunk }
  end
end

-- Two files that differ in an adapter and a head.
local function banks()
  local device = tiny.device(work, "adapted")
  local other = changed_copy(device.checkpoint, work .. "/other.safetensors",
    { "image_encoder.blocks.0.Space_Adapter.D_fc1.weight", "mask_decoder.iou_prediction_head.layers.0.weight" })
  device.banks = { { name = "one", checkpoint = device.checkpoint }, { name = "other", checkpoint = other } }
  device.checkpoint = nil
  return device
end

local function shape(name) return function() return tiny.device(work, name) end end

-- Name, device, ways to hold weights.
local models = {
  { "plain", shape "plain", { "mapped", "stream", "pieces" } },
  { "adapted", shape "adapted", { "mapped", "stream", "pieces" } },
  { "late", shape "late", { "mapped", "stream", "pieces" } },
  { "banks", banks, { "mapped", "stream" } },
  { "msa-2023-3d-two-chunks", golden("msa-2023-3d-two-chunks", 12, 6), { "mapped", "stream" } },
  { "msa-2025-2d-lora", golden "msa-2025-2d-lora", { "mapped" } },
}

-- Tables that many builds have in common are kept once, under their hash.
local tables = {}
local function kept(t)
  local name = sha256.hex(json.encode(t)):sub(1, 16)
  tables[name] = t
  return name
end

local function add_up(list, key)
  local sums = {}
  for _, one in ipairs(list) do
    local name = key(one)
    sums[name] = (sums[name] or 0) + 1
  end
  return sums
end

-- The least buffer that a build takes, as the refusal of a smaller one says.
local function least_buffer(device)
  device.stream_buffer = 4096
  local ok, problem = pcall(require "compiler.compiler".schedule, device, "oracle", true)
  local least = not ok and type(problem) == "table" and problem.msagen:match "expected (%d+) bytes at least"
  return assert(math.tointeger(least), "no refusal that says the least")
end

local function predicted(build)
  local cycles = { encode = 0, decode = 0 }
  for _, L in ipairs(build.graph.fused) do
    local w = predict.layer(L, build)
    cycles[L.phase] = cycles[L.phase] + w.busy + w.other
  end
  return { encode = math.floor(cycles.encode + 0.5), decode = math.floor(cycles.decode + 0.5) }
end

local function measured(device, way)
  local found = {}
  if way ~= "mapped" then device.weights = "stream" end
  if way == "pieces" then
    found.least_buffer = least_buffer(device)
    device.stream_buffer = found.least_buffer * 13 // 10
  end
  local fw = work .. "/fw"
  local build = tiny.build(device, fw)
  local manifest = parts.check(fw)
  found.parts = kept(add_up(manifest.parts, function(part) return ("%d %s"):format(part.bytes, part.crc32c) end))
  local macs, bytes = {}, {}
  for _, layer in ipairs(manifest.layers) do macs[layer.name], bytes[layer.name] = layer.macs, layer.bytes end
  found.macs, found.moved, found.predicted_cycles = kept(macs), kept(bytes), predicted(build)
  found.arena, found.bound, found.weights = manifest.arena_bytes, manifest.arena_bound_bytes, manifest.weights_bytes
  if text and way == "mapped" and device.cores == 1 then
    found.text = json.decode(tally.must { tally.program, "sizes", "--json", fw }, "sizes").text
  end
  return found
end

-- How two tables differ, in words; nothing where they do not.
local function differences(old, new)
  local list, names = {}, {}
  for name in pairs(old) do names[name] = true end
  for name in pairs(new) do names[name] = true end
  for _, name in ipairs(closed.sorted(names)) do
    if old[name] ~= new[name] then
      list[#list + 1] = ("%s: expected %s, found %s"):format(name, tostring(old[name]), tostring(new[name]))
    end
  end
  if #list > 4 then list[5], list[6] = ("and %d more"):format(#list - 4), nil end
  return table.concat(list, "; ", 1, math.min(#list, 5))
end

local committed = not accept and json.decode(sys.read_file(path), "oracle.json")

local function compare(old, new)
  assert(old, "in no line of the table: make accept-oracle")
  for _, what in ipairs { "parts", "macs", "moved" } do
    if old[what] ~= new[what] then
      error(("%s: %s"):format(what, differences(committed.tables[old[what]], tables[new[what]])), 0)
    end
  end
  for _, what in ipairs { "arena", "bound", "weights", "least_buffer", "text" } do
    local same = old[what] == new[what] or what == "text" and not text
    assert(same, ("%s: expected %s, found %s"):format(what, tostring(old[what]), tostring(new[what])))
  end
  for phase, cycles in pairs(old.predicted_cycles) do
    local found = new.predicted_cycles[phase]
    local near = math.abs(found - cycles) <= TOLERANCE * cycles
    assert(near, ("predicted cycles, %s: expected %d, found %d"):format(phase, cycles, found))
  end
end

local builds = {}
for _, model in ipairs(models) do
  tally.test("oracle: " .. model[1], function()
    local count = 0
    for _, board in ipairs(BOARDS) do
      for _, cores in ipairs(CORES) do
        for _, way in ipairs(model[3]) do
          local device = model[2]()
          device.board, device.cores = board, cores
          local name = ("%s, %s, cores %d, %s"):format(model[1], board, cores, way)
          builds[name], count = measured(device, way), count + 1
          if not accept then
            local ok, problem = pcall(compare, committed.builds[name], builds[name])
            if not ok then error(("%s: %s"):format(name, tostring(problem)), 0) end
          end
        end
      end
    end
    return ("%d builds"):format(count)
  end)
end
if not accept then
  tally.test("oracle: every line of the table is of a build", function()
    for name in pairs(committed.builds) do assert(builds[name], name) end
  end)
end

local status = tally.finish()
if accept and status == 0 then
  sys.write_file(path, json.encode({ builds = builds, tables = tables }, { indent = 1 }) .. "\n")
end
return status

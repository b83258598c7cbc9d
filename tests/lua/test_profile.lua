-- SPDX-License-Identifier: Apache-2.0
-- A profile from the manifest's layers and the runner's lines: rates, bounds, sums, and what is refused.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
if not spec.host "msagen.json" then return end
local profile = require "run.profile"

local function folder(fields)
  local f = { path = "fw", runner = "runner/msa_run", board = "generic-c99", model_hash = "00ff", input_size = 64,
    depth = 1, layers = {
    { name = "patch_embed", kind = "patch_embed", phase = "encode", number = 0, macs = 2000000, bytes = 1000 },
    { name = "block_0_mlp", kind = "encoder_mlp", phase = "encode", number = 1, macs = 6000000, bytes = 1000 },
    { name = "block_1_mlp", kind = "encoder_mlp", phase = "encode", number = 2, macs = 2000000, bytes = 8000000 },
    { name = "masks", kind = "masks", phase = "decode", number = 0, macs = 0, bytes = 4000000 },
  } }
  for key, value in pairs(fields or {}) do f[key] = value end
  return f
end

local LINES = { "encode_ms 21.500", "decode_ms 4.250", "layer encode 0 2.000000 1.500000",
  "layer encode 1 4.000000 3.000000", "layer encode 2 8.000000 7.000000",
  "whole encode 14.500000 12.000000", "layer decode 0 2.000000 2.000000", "whole decode 2.125000 2.100000", "clock cpu",
    "fma_gmacs 2.0000", "read_gbytes 2.0000" }

local function made(fields, lines)
  return profile.make(folder(fields), profile.measured(lines or LINES), { repetitions = 3, image = false })
end

local function changed(at, field, value)
  local layers = folder().layers
  layers[at][field] = value
  return { layers = layers }
end

describe("a profile", function()
  it("holds each layer against the bound that is nearer", function()
    local p = made()
    equal(p.peak, { fma_gmacs_per_s = 2.0, read_gbytes_per_s = 2.0 })
    equal(p.layers[1], { name = "patch_embed", kind = "patch_embed", phase = "encode", number = 0, ms = 2.0,
      least_ms = 1.5, macs = 2000000, bytes = 1000, compute_ms = 1.0, memory_ms = 0.0005,
      bound = "compute", bound_ms = 1.0, gmacs_per_s = 1.0, percent_of_peak = 50.0, times_bound = 2.0 })
    local third = p.layers[3]
    equal({ third.bound, third.bound_ms, third.times_bound, third.percent_of_peak }, { "memory", 4.0, 2.0, 12.5 })
    equal({ p.layers[4].percent_of_peak, p.layers[4].times_bound, #p.layers }, { 0.0, 1.0, 4 })
  end)

  it("adds layers up, each under its own bound", function()
    local p = made()
    equal({ #p.kinds, p.kinds[2].kind, p.kinds[2].layers, p.kinds[2].ms, p.kinds[2].macs, p.kinds[2].bytes,
      p.kinds[2].bound_ms }, { 3, "encoder_mlp", 2, 12.0, 8000000, 8001000, 7.0 })
    equal({ p.encode.layers, p.encode.ms, p.encode.macs, p.encode.bound_ms, p.encode.times_bound, p.encode.whole_ms,
      p.encode.wall_ms }, { 3, 14.0, 10000000, 8.0, 1.75, 14.5, 21.5 })
    equal({ p.decode.layers, p.decode.ms, p.decode.macs, p.decode.whole_ms }, { 1, 2.0, 0, 2.125 })
  end)

  it("says how it was measured", function()
    local p = made { depth = 5, emulator = { "qemu" } }
    equal({ p.format, p.clock, p.repetitions, p.image, p.emulated, p.depth, p.board, p.model_hash },
      { "msagen-profile-1", "cpu", 3, "synthetic", true, 5, "generic-c99", "00ff" })
    equal(p.decode.wall_ms, 4.25 / 5) -- of one slice, as the runner's other times are
    equal(made().emulated, false)
  end)

  it("counts cycles where the runner did, at the board's nominal clock", function()
    local lines = table.move(LINES, 1, #LINES, 1, {})
    for i, line in ipairs(lines) do lines[i] = line:gsub("clock cpu", "clock cycles") end
    local p = made({ clock = 480e6 }, lines)
    equal({ p.clock, p.clock_hz, p.layers[1].cycles, p.layers[1].macs_per_cycle, p.kinds[2].cycles, p.encode.cycles },
      { "cycles", 480000000, 960000, 2000000 / 960000, 5760000, 6720000 })
    holds(profile.text(p), "by cycles at a nominal\n  480 MHz", "MAC/cycle", " 960000    2.0833")
    equal({ made { clock = 480e6 }.clock_hz, profile.khz { clock = 480e6 }, profile.khz {}, profile.khz { clock = "x" },
      profile.khz { clock = 1e300 }, profile.khz { clock = 0 / 0 } }, { nil, 480000, 0, 0, 0, 0 })
  end)

  it("has the peak of all cores, and one core's memory", function()
    local p = made { cores = 4 }
    equal({ p.cores, p.peak.fma_gmacs_per_s, made().cores }, { 4, 2.0, 1 })
    equal({ p.layers[1].compute_ms, p.layers[1].percent_of_peak, p.layers[1].times_bound, p.layers[3].memory_ms },
      { 0.25, 12.5, 8.0, 4.0 })
    holds(profile.text(p), "peak 2.0 GMAC/s, of all 4 cores 8.0, memory")
  end)

  it("is a table with a line a layer, a line a kind and sums", function()
    local text = profile.text(made())
    holds(text, "peak 2.0 GMAC/s, memory read at 2.0 GB/s; medians of 3 by processor time\n", "encoder_mlp x 2",
      "whole encode 14.500 ms, 21.500 ms by the time of day", "whole decode 2.125 ms")
    for _, name in ipairs { "patch_embed", "block_0_mlp", "block_1_mlp", "masks" } do
      holds(text, "\n" .. name .. " ")
    end
    equal(select(2, text:gsub("\nall layers ", "")), 2)
    local widths = {}
    for line in text:gmatch "[^\n]+" do
      if line:find "%f[%w]compute%f[%W]" or line:find "%f[%w]memory  " or line:find " bound " then
        widths[#widths + 1] = #line
      end
    end
    for _, width in ipairs(widths) do equal(width, 80) end
    holds(profile.text(made { depth = 5, emulator = { "qemu" } }), "decode: one of 5 slices", "emulated")
  end)

  it("needs what it is made of", function()
    refuses(function() profile.phases(folder { layers = "x" }) end, "fw/manifest.json: layers", "found 0 and 0")
    refuses(function()
      profile.phases(folder { layers = { 7 } })
    end, "no such name of layer 1", "build the folder again")
    refuses(function()
      profile.phases(folder(changed(2, "number", 2)))
    end, "expected layer 1 of encode, found number 2", "build the folder again")
    refuses(function() profile.phases(folder(changed(2, "bytes", false))) end, "no such bytes of layer 2")
    refuses(function() profile.phases(folder(changed(2, "macs", 1.5))) end, "no such macs of layer 2")
    refuses(function() profile.phases(folder(changed(3, "phase", "train"))) end, "phase encode or decode", "train")
    local encoder_alone = changed(4, "phase", "encode")
    encoder_alone.layers[4].number = 3
    refuses(function() profile.phases(folder(encoder_alone)) end, "found 4 and 0")
    local lines = table.move(LINES, 1, #LINES, 1, {})
    table.remove(lines, 5)
    refuses(function() made(nil, lines) end, "fw: runner/msa_run", "block_1_mlp")
    refuses(function() made(nil, { table.unpack(LINES, 1, 9) }) end, "peaks")
    refuses(function()
      made(nil, { "layer train 0 1 1", "whole train 1 1", "encode 7", "fma_gmacs 1", "read_gbytes 1" })
    end, "the time of encode")
  end)
end)

-- SPDX-License-Identifier: Apache-2.0
-- A profile held against the manifest of its folder, for drivers that build one.
local sys = require "msagen.sys"
local json = require "msagen.json"
local layout = require "support.layout"
local tally = require "tally"

local M = {}

local function number(value, what)
  assert(math.type(value), what .. " is no number: " .. tostring(value))
  assert(value >= 0 and value < math.huge, ("%s is %g"):format(what, value))
end

local ROW = { "ms", "macs", "bytes", "gmacs_per_s", "percent_of_peak", "compute_ms", "memory_ms", "bound_ms",
  "times_bound" }

--- A profile of `fw`, written into folder `work`, with the options of `...`, held against its manifest; the profile and
-- what was printed.
function M.of(fw, work, ...)
  local path = work .. "/profile.json"
  local text = tally.must { tally.program, "run", fw, "--profile", path, ... }
  local p, m = json.decode(sys.read_file(path), path),
    json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")
  assert(p.format == "msagen-profile-1" and p.generator == "msagen" and p.board == m.board
    and p.model_hash == m.model_hash and p.depth == m.depth, "not of this folder")
  assert(p.clock == "cpu" or p.clock == "wall", p.clock)
  assert(p.cores == m.cores and (p.cores == 1 or p.clock == "wall"),
    "another number of cores, or the time of one of several")
  assert(p.emulated == false, "emulated, on a board that runs here")
  assert(p.peak.fma_gmacs_per_s > 0 and p.peak.read_gbytes_per_s > 0, "no peaks")
  assert(#p.layers == #m.layers, ("%d layers, the manifest has %d"):format(#p.layers, #m.layers))
  local sums = { encode = { ms = 0, macs = 0, bytes = 0, bound_ms = 0 },
    decode = { ms = 0, macs = 0, bytes = 0, bound_ms = 0 } }
  local kinds, least = {}, { encode = 0, decode = 0 }
  for i, row in ipairs(p.layers) do
    local layer = m.layers[i]
    for _, field in ipairs { "name", "kind", "phase", "number", "macs", "bytes" } do
      assert(row[field] == layer[field], ("layer %d has another %s"):format(i, field))
    end
    for _, field in ipairs(ROW) do number(row[field], row.name .. ": " .. field) end
    assert(row.least_ms > 0 and row.least_ms <= row.ms, row.name .. ": the least is not the least")
    assert(row.bound == (row.compute_ms >= row.memory_ms and "compute" or "memory")
      and row.bound_ms == math.max(row.compute_ms, row.memory_ms), row.name .. ": another bound")
    assert(math.abs(row.percent_of_peak - 100 * row.macs / row.ms / 1e6 / p.peak.fma_gmacs_per_s / p.cores)
      < 1e-6 * (1 + row.percent_of_peak), row.name .. ": another share of the peak")
    for field, value in pairs(sums[row.phase]) do sums[row.phase][field] = value + row[field] end
    least[row.phase] = least[row.phase] + row.least_ms
    kinds[row.phase .. row.kind] = (kinds[row.phase .. row.kind] or 0) + 1
    assert(text:find("\n" .. layout.shortened(row.name, 24) .. " ", 1, true), "no line of " .. row.name)
  end
  for _, row in ipairs(p.kinds) do
    assert(row.layers == kinds[row.phase .. row.kind], row.kind .. ": another number of layers")
    kinds[row.phase .. row.kind] = nil
    for _, field in ipairs(ROW) do number(row[field], row.kind .. ": " .. field) end
  end
  assert(not next(kinds), "no line of the kind " .. tostring(next(kinds)))
  for phase, sum in pairs(sums) do
    for field, value in pairs(sum) do
      assert(math.abs(p[phase][field] - value) <= 1e-9 * (1 + value), ("%s: %s is no sum"):format(phase, field))
    end
    assert(p[phase].macs == m["macs_" .. phase], phase .. ": another number of multiply-adds")
    -- What is outside of the layers is little; a median of sums is not the sum of medians, least of all where others
    -- take turns.
    assert(least[phase] <= p[phase].whole_ms, ("%s: layers take %.3f ms at the least, the whole %.3f"):format(phase,
      least[phase], p[phase].whole_ms))
    if p.clock == "cpu" then
      assert(p[phase].ms > 0.6 * p[phase].whole_ms and p[phase].ms < 1.25 * p[phase].whole_ms,
        ("%s: layers take %.3f ms, the whole %.3f"):format(phase, p[phase].ms, p[phase].whole_ms))
    end
    number(p[phase].wall_ms, phase .. ": wall_ms")
  end
  -- Nothing is faster than the peak; clocks change, so a little more than all of it is let pass.
  assert(p.encode.percent_of_peak > 1 and p.encode.percent_of_peak < 125,
    ("encoding at %.0f %% of the peak"):format(p.encode.percent_of_peak))
  return p, (text:gsub("\n  ", " ")) -- the first line, wherever it was broken
end

return M

-- SPDX-License-Identifier: Apache-2.0
-- `run --profile` from end to end: the file has every layer of the manifest once, its sums are the whole's, and the
-- table says the same.
local sys = require "msagen.sys"
local json = require "msagen.json"
local tally = require "tally"

local work = tally.folder "profile"

local function number(value, what)
  assert(math.type(value), what .. " is no number: " .. tostring(value))
  assert(value >= 0 and value < math.huge, ("%s is %g"):format(what, value))
end

local ROW = { "ms", "macs", "bytes", "gmacs_per_s", "percent_of_peak", "compute_ms", "memory_ms", "bound_ms",
  "times_bound" }

--- A profile of `fw` with the options of `...`, held against its manifest; the profile and what was printed.
local function profiled(fw, ...)
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
    assert(text:find("\n" .. row.name .. " ", 1, true), "no line of " .. row.name)
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
  return p, text
end

for _, board in ipairs(tally.boards) do
  local title = "profile on " .. board.name
  if board.missing then
    tally.skip(title, board.missing)
  else
    tally.test(title, function()
      local fw = work .. "/" .. board.name
      tally.must { tally.program, "build", tally.demo .. "/checkpoint.pth", "--dialect", "msa-paper", "--board",
        board.name, "-o", fw }
      local p, text = profiled(fw, "--bench", "2", "--image", tally.demo .. "/image.png")
      assert(p.repetitions == 2 and p.image == "given", "another image or number of runs")
      assert(text:match "^encode_ms [%d.]+\ndecode_ms [%d.]+\narena_bytes %d+\nweights_bytes %d+\nmacs_encode %d+\nmacs_decode %d+\npeak ", "the bench's lines are not the first: " .. text:sub(1, 200))
      assert(math.abs(p.encode.wall_ms - text:match "encode_ms ([%d.]+)") < 1e-9, "another encode_ms than the bench's")
      return ("encode %.0f %%, decode %.0f %% of %.1f GMAC/s"):format(p.encode.percent_of_peak,
        p.decode.percent_of_peak, p.peak.fma_gmacs_per_s)
    end)
  end
end

tally.test("a profile without an image, under another prefix", function()
  local fw = work .. "/prefixed"
  tally.must { tally.program, "build", tally.demo .. "/checkpoint.pth", "--dialect", "msa-paper", "--prefix", "Left9",
    "-o", fw }
  local p, text = profiled(fw)
  assert(p.repetitions == 3 and p.image == "synthetic", "another image or number of runs")
  assert(text:match "^peak ", "something before the table: " .. text:sub(1, 200))
end)

tally.test("two cores are held against the peak of both", function()
  local fw = work .. "/cores"
  tally.must { tally.program, "build", tally.demo .. "/checkpoint.pth", "--dialect", "msa-paper", "--cores", "2", "-o",
    fw }
  local p, text = profiled(fw)
  assert(p.cores == 2 and text:find(", of all 2 cores ", 1, true), text:sub(1, 200))
end)

tally.test("the decoder of a volume is timed a slice", function()
  local demo, fw = tally.source .. "/demo/hippocampus", work .. "/volume"
  local expected = json.decode(sys.read_file(demo .. "/expected.json"), "expected.json")
  tally.must { tally.program, "build", demo .. "/checkpoint.pth", "--dialect", expected.dialect, "--depth",
    tostring(expected.depth), "-o", fw }
  local p, text = profiled(fw, "--image", demo .. "/volume.npy")
  assert(text:find(("decode: one of %d slices"):format(expected.depth), 1, true), text:sub(1, 200))
  -- Five slices at once would be over the peak.
  assert(p.decode.percent_of_peak < 125, ("decoding at %.0f %% of the peak"):format(p.decode.percent_of_peak))
end)

tally.test("nothing is left where the file cannot be written", function()
  local fw = work .. "/" .. tally.best
  sys.mkdir_p(work .. "/empty")
  for _, case in ipairs { { path = work .. "/empty", word = "found a folder" },
    { path = "/proc/profile.json", word = "cannot be written" } } do
    local status, output = sys.spawn { tally.program, "run", fw, "--profile", case.path, stdin = "/dev/null",
      stdout = "capture", stderr = "capture" }
    assert(status == 1 and output:match "^msagen: [^\n]+\n$" and output:find(case.word, 1, true),
      ("exit %d: %s"):format(status, output))
  end
  assert(#sys.list(work .. "/empty") == 0, "something was left")
end)

return tally.finish()

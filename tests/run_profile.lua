-- SPDX-License-Identifier: Apache-2.0
-- `run --profile` from end to end: the file has every layer of the manifest once, its sums are the whole's, and the
-- table says the same.
local sys = require "msagen.sys"
local json = require "msagen.json"
local profiled = require "profiled"
local tally = require "tally"

local work = tally.folder "profile"

local fw = work .. "/cores"
tally.test("a profile without an image, under another prefix; two cores are held against the peak of both", function()
  tally.must { tally.program, "build", tally.head, "--dialect", "msa-paper", "--prefix", "Left9",
    "--cores", "2", "-o", fw }
  local p, text = profiled.of(fw, work)
  assert(p.repetitions == 3 and p.image == "synthetic", "another image or number of runs")
  assert(text:match "^peak ", "something before the table: " .. text:sub(1, 200))
  assert(p.cores == 2 and text:find(", of all 2 cores ", 1, true), text:sub(1, 200))
end)

tally.deep("the decoder of a volume is timed a slice", function()
  local demo, fw = tally.source .. "/demo/hippocampus", work .. "/volume"
  local expected = json.decode(sys.read_file(demo .. "/expected.json"), "expected.json")
  tally.must { tally.program, "build", demo .. "/checkpoint.pth", "--dialect", expected.dialect, "--depth",
    tostring(expected.depth), "-o", fw }
  local p, text = profiled.of(fw, work, "--image", demo .. "/volume.npy")
  assert(text:find(("decode: one of %d slices"):format(expected.depth), 1, true), text:sub(1, 200))
  -- Five slices at once would be over the peak.
  assert(p.decode.percent_of_peak < 125, ("decoding at %.0f %% of the peak"):format(p.decode.percent_of_peak))
end)

tally.test("nothing is left where the file cannot be written", function()
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

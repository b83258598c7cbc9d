-- SPDX-License-Identifier: Apache-2.0
-- The first answer after start against later ones, and the self-test: luahost bench/startup.lua DIR [ROUNDS].   DIR: a
-- compiled model
-- Each round is a new process for each way to map the weights; medians of processor time, so that other programs count
-- less. See bench/README.md.
local rig = require "rig"
local sys = require "msagen.sys"

local dir, rounds = arg[1], tonumber(arg[2] or "5")
if not dir or not rounds then
  io.stderr:write("usage: startup.lua DIR [ROUNDS]\n")
  os.exit(2)
end
sys.mkdir_p("out/bench")

local program, weights = "out/bench/startup", dir .. "/msa_weights.bin"
rig.must { "gcc", "-O2", "-std=c99", "-I" .. dir, "-o", program, rig.folder .. "/startup.c", dir .. "/libmsa_model.a" }
rig.must { program, weights, "populate", "0" } -- into the page cache

local ways = { "plain", "populate", "check" }
local takes = {}
for _, way in ipairs(ways) do takes[way] = {} end
for _ = 1, rounds do
  for _, way in ipairs(ways) do
    local seen = {}
    for what, busy in rig.must({ program, weights, way, "3" }):gmatch "([%a_]+) [%d.]+ ([%d.]+) %d+\n" do
      local name = seen[what] and "later " .. what or what
      seen[what] = true
      takes[way][name] = takes[way][name] or {}
      table.insert(takes[way][name], tonumber(busy))
    end
  end
end
for _, way in ipairs(ways) do
  local ms = {}
  for name, list in pairs(takes[way]) do ms[name] = rig.median(list) end
  local later = ms["later encode"] + ms["later decode"]
  print(("%-8s map %.1f ms, open %.3f ms; first encode %.1f, later %.1f: %.2f; first decode %.2f, later %.2f: %.2f; "
    .. "map to first answer %.1f, later %.1f: %.2f"):format(way, ms.map, ms.open,
    ms.encode, ms["later encode"], ms.encode / ms["later encode"], ms.decode, ms["later decode"],
      ms.decode / ms["later decode"],
    ms.map + ms.open + ms.encode + ms.decode, later, (ms.map + ms.open + ms.encode + ms.decode) / later))
  if ms.self_test then
    print(("self-test %.1f ms: CRCs of all weights %.1f, known answer %.1f"):format(ms.self_test, ms.crc,
      ms.self_test - ms.crc))
  end
end

-- SPDX-License-Identifier: Apache-2.0
-- Encode and decode of synthetic SAM weights against this machine's own matrix product, in turns, and what the build
-- takes: luahost bench/encode.lua [OPTIONS].
--   --arch vit_b  --resolution 1024  --board NAME (the best for this CPU)  --cores 1  --rounds 5  --side 2048 (of the
-- yardstick's matrices)
--   --yardstick auto|avx2|any   which kernels the yardsticks take: those for AVX2 and FMA, or any; auto: the board's
-- vectors decide
--   --onednn no|yes   takes turns with oneDNN's product as well
--   --precision f32|bf16|int8
-- Needs libopenblas-dev, and libdnnl-dev for oneDNN. Prints medians, their spread, and the ratio; see bench/README.md.
local rig = require "rig"
local sys = require "msagen.sys"

local options = rig.options { arch = "vit_b", resolution = "1024", board = require("target.boards").best().name,
  cores = "1", rounds = "5", side = "2048",
  yardstick = "auto", onednn = "no", precision = "f32", out = "out/bench" }
local board = require("target.boards").named(options.board)
local narrow = options.yardstick == "avx2" or options.yardstick == "auto" and board.isa.name == "avx2"

-- What takes turns: OpenBLAS, the build, and for several cores both on one as well.
local turns, rows = {}, {}
local function measured(suffix, cores)
  local fw, why = rig.build_sam(options.arch, options.resolution, board, cores, nil, options.precision)
  if not fw then rig.stop("%s", why) end
  local model = rig.model(fw)
  local sgemm, yardstick = rig.sgemm(options.side, cores, narrow)
  local second, beside
  if options.onednn == "yes" then second, beside = rig.sgemm(options.side, cores, narrow, "onednn") end
  local t = { fw = fw, yardstick = yardstick, onednn = second and rig.takes(),
    sgemm = rig.takes(), encode = rig.takes(fw.manifest.macs_encode),
    first = rig.takes(fw.manifest.macs_decode), click = rig.takes(fw.manifest.macs_decode) }
  turns[#turns + 1] = function()
    local take = sgemm()
    t.sgemm.macs = yardstick.macs
    rig.add(t.sgemm, take.ms, take.cpu_ms)
    if second then
      take = second()
      t.onednn.macs = beside.macs
      rig.add(t.onednn, take.ms, take.cpu_ms)
    end
    local text = model("1")
    for _, name in ipairs { "encode", "first", "click" } do
      rig.add(t[name], rig.numbers(text, name .. "_ms"), rig.numbers(text, name .. "_cpu_ms"))
    end
  end
  rows[#rows + 1] = function()
    rig.row("sgemm" .. suffix, t.sgemm)
    if second then rig.row("oneDNN's sgemm" .. suffix, t.onednn, t.sgemm) end
    rig.row("encode" .. suffix, t.encode, t.sgemm)
    if second then rig.row("the same" .. suffix, t.encode, t.onednn, "oneDNN") end
    rig.row("first click" .. suffix, t.first, t.sgemm)
    rig.row("later clicks" .. suffix, t.click, t.sgemm)
  end
  return t
end
local one = options.cores ~= "1" and measured(", one core", "1")
local all = measured("", options.cores)
local fw, manifest = all.fw, all.fw.manifest
for _ = 1, tonumber(options.rounds) do
  for _, turn in ipairs(turns) do turn() end
end

local MiB = 2 ^ 20
print(("%s at %s, %s, %s, cores: %s; sgemm %s^3 by OpenBLAS core %s, as many threads; %.1f GMAC an encode, "
  .. "%.2f a decode"):format(options.arch, options.resolution, options.precision, board.name,
  options.cores, options.side, all.yardstick.core, manifest.macs_encode / 1e9, manifest.macs_decode / 1e9))
print(("build %.1f s, peak %.0f MiB (1.3 x checkpoint + 32 MiB is %.0f); make %.1f s; text %.0f KiB; arena %.2f MiB "
  .. "(lower bound %.2f), weights %.1f MiB"):format(fw.build_seconds, fw.build_peak / MiB,
  1.3 * sys.size((rig.checkpoint(options.arch, options.resolution, "sam"))) / MiB + 32,
    fw.make_seconds, fw.text_bytes / 1024, manifest.arena_bytes / MiB, manifest.arena_bound_bytes / MiB,
    manifest.weights_bytes / MiB))
for _, row in ipairs(rows) do row() end
if one then
  for _, name in ipairs { "sgemm", "encode", "click" } do
    local a, alow = rig.median(one[name].ms)
    local b, blow = rig.median(all[name].ms)
    print(("%s on %s cores: %.2f times as fast as on one (best takes %.2f)"):format(name, options.cores, a / b,
      alow / blow))
  end
end

-- SPDX-License-Identifier: Apache-2.0
-- The generated encoder, ONNX Runtime's and OpenBLAS's large product, in turns: luahost bench/onnx/compare.lua
-- [OPTIONS].
--   --arch vit_b  --dialect sam  --resolution 1024  --threads 1  --rounds 5
--   --repetitions 2 (after the first, in a process)  --board NAME  --modules DIR (that has onnxruntime-node)
--   --precision f32|int8 (of both: ONNX Runtime's is its dynamic quantisation of linear layers)
--   --session auto|JSON (options of ONNX Runtime's session; auto: what is fastest here)
-- Needs libopenblas-dev, python3-onnx, nodejs and npm; fetches onnxruntime-node once. See bench/README.md.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/../?.lua;" .. package.path
local rig = require "rig"
local sys = require "msagen.sys"

local options = rig.options { arch = "vit_b", dialect = "sam", resolution = "1024", threads = "1", rounds = "5",
  repetitions = "2", side = "2048",
  board = require("target.boards").best().name, modules = "", session = "auto", precision = "f32", out = "out/bench" }
local board = require("target.boards").named(options.board)
local onnx = rig.folder .. "/onnx"

local modules = options.modules
if modules == "" then
  local folder = options.out .. "/npm"
  modules = folder .. "/node_modules"
  if not sys.exists(modules .. "/onnxruntime-node") then
    sys.mkdir_p(folder)
    sys.write_file(folder .. "/package.json", sys.read_file(onnx .. "/package.json"))
    -- Without its script, which would fetch libraries for GPUs: those for this CPU are in the package.
    rig.must({ "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", cwd = folder },
      "needs Debian's nodejs and npm, and the npm package onnxruntime-node")
  end
end
modules = sys.realpath(modules) or rig.stop("%s: expected a folder with onnxruntime-node, found nothing",
  options.modules)

local checkpoint, image = rig.checkpoint(options.arch, options.resolution, options.dialect)
local stem = ("%s/onnx-%s-%s-%s-%s"):format(options.out, options.dialect, options.arch, options.resolution,
  options.precision)
-- Two ways to float32 differ by rounding alone; two quantisations differ by what each loses.
local ALLOWED = { f32 = 1e-4, int8 = 0.2 }
local allowed = ALLOWED[options.precision] or rig.stop("--precision: expected f32 or int8, found %s", options.precision)
if not sys.exists(stem .. ".input") then
  local ran, why
  for _, python in ipairs { "python3", "/usr/bin/python3" } do -- Debian's packages belong to Debian's python3
    ran, why = rig.try { python, onnx .. "/encoder.py", checkpoint, image, stem, options.precision }
    if ran then break end
  end
  if not ran then rig.stop("%s", why) end
end
local fw, refused = rig.build_sam(options.arch, options.resolution, board, options.threads, options.dialect,
  options.precision)
if not fw then rig.stop("%s", refused) end
rig.must { rig.program, "run", fw.path, "--image", image, "--out", stem }
local model, expected = rig.model(fw), stem .. "/embedding.npy"
local sgemm, yardstick = rig.sgemm(options.side, options.threads)

local macs = fw.manifest.macs_encode
local yard, first, later, click = rig.takes(), rig.takes(macs), rig.takes(macs), rig.takes(fw.manifest.macs_decode)
local their_first, their_later, answers, peaks, version, worst = rig.takes(macs), rig.takes(macs), {}, { 0, 0 }, nil, 0

local function rest(list) return table.move(list, 2, #list, 1, {}) end
local function take_sgemm()
  local take = sgemm()
  yard.macs = yardstick.macs
  rig.add(yard, take.ms, take.cpu_ms)
end
local function take_model()
  local text = model(1 + options.repetitions)
  local ms, cpu = rig.numbers(text, "encode_ms"), rig.numbers(text, "encode_cpu_ms")
  rig.add(first, { ms[1] }, { cpu[1] })
  rig.add(later, rest(ms), rest(cpu))
  rig.add(click, rig.numbers(text, "click_ms"), rig.numbers(text, "click_cpu_ms"))
  answers[#answers + 1] = rig.numbers(text, "answer_ms")[1] / (rig.median(rest(ms))
    + rig.median(rest(rig.numbers(text, "first_ms"))))
  peaks[1] = math.max(peaks[1], rig.numbers(text, "peak_bytes")[1])
end
local function onnx_runtime(repetitions, session)
  local text = rig.must({ "node", onnx .. "/encoder.cjs", modules, stem, options.resolution, options.threads,
    repetitions, session, expected }, "needs Debian's nodejs")
  local error = rig.numbers(text, "error")[1]
  if not (error <= allowed) then
    rig.stop("the embeddings differ by %g of the largest value, expected at most %g", error, allowed)
  end
  return text
end
-- ONNX Runtime at its best: its ways with memory matter here, and the default is not always the fastest.
local session = options.session
if session == "auto" then
  local least, clock = math.huge, options.threads == "1" and "cpu_ms" or "ms"
  for _, json in ipairs { "{}", '{"enableMemPattern":false}', '{"enableCpuMemArena":false}' } do
    local _, warm = rig.median(rest(rig.numbers(onnx_runtime("2", json), clock)))
    if warm < least then least, session = warm, json end
  end
end
local function take_onnx()
  local text = onnx_runtime(options.repetitions, session)
  local ms, cpu = rig.numbers(text, "ms"), rig.numbers(text, "cpu_ms")
  rig.add(their_first, { ms[1] }, { cpu[1] })
  rig.add(their_later, rest(ms), rest(cpu))
  peaks[2] = math.max(peaks[2], rig.numbers(text, "peak_bytes")[1])
  version = text:match "version (%S+)"
  worst = math.max(worst, rig.numbers(text, "error")[1])
end

take_sgemm()
for _ = 1, tonumber(options.rounds) do
  take_model()
  take_onnx()
  take_sgemm()
end

local _, runner = rig.must { rig.program, "run", fw.path, "--bench", "1" }

local MiB = 2 ^ 20
local own = fw.manifest.weights_bytes + fw.manifest.arena_bytes
print(("%s at %s, %s, %s, threads: %s, sgemm %s^3 by OpenBLAS core %s, onnxruntime-node %s with %s; embeddings differ "
  .. "by %.1e of the largest value"):format(options.arch, options.resolution, options.precision, board.name,
  options.threads, options.side,
  yardstick.core, version, session, worst))
rig.row("sgemm", yard)
rig.row("msagen, first", first, yard)
rig.row("msagen, later", later, yard)
rig.row("msagen, one click", click, yard)
rig.row("ONNX Runtime, first", their_first, yard)
rig.row("ONNX Runtime, warm", their_later, yard)
print("ONNX Runtime warm / msagen  " .. rig.ratio(their_later, later))
print("ONNX Runtime first / msagen " .. rig.ratio(their_first, later))
print(("first answer / later        msagen %.2f; ONNX Runtime's first run / warm %s"):format(rig.median(answers),
  rig.ratio(their_first, their_later)))
print(("peak memory                 msagen %.0f MiB, %.3f of weights + arena (%.1f + %.1f), its runner %.3f; "
  .. "ONNX Runtime %.0f MiB"):format(peaks[1] / MiB, peaks[1] / own, fw.manifest.weights_bytes / MiB,
  fw.manifest.arena_bytes / MiB, runner / own, peaks[2] / MiB))

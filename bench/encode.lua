-- SPDX-License-Identifier: Apache-2.0
-- Encode and decode of synthetic SAM weights against this machine's own matrix product, in turns: luahost bench/encode.lua [OPTIONS].
--   --arch vit_b  --resolution 1024  --board NAME (the best for this CPU)  --rounds 3  --side 2048 (of the yardstick's matrices)
-- Needs libopenblas-dev. Prints medians, their spread, and the ratio; see bench/README.md.
local sys = require "msagen.sys"
local json = require "msagen.json"

local here = sys.realpath(arg[0]:match "^(.*)/[^/]*$" or ".")
local options = { arch = "vit_b", resolution = "1024", board = require("boards").best().name, rounds = "3", side = "2048", out = "out/bench" }
do
  local i = 1
  while arg[i] do
    local key = arg[i]:match "^%-%-(%a+)$"
    if not options[key] or not arg[i + 1] then
      io.stderr:write("usage: encode.lua [--arch NAME] [--resolution PX] [--board NAME] [--rounds N] [--side N] [--out DIR]\n")
      os.exit(2)
    end
    options[key] = arg[i + 1]
    i = i + 2
  end
end
local program = os.getenv "MSAGEN" or here .. "/../gen/msagen"
local work = options.out
sys.mkdir_p(work)

local function must(command)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local status, output = sys.spawn(command)
  if status ~= 0 then
    io.stderr:write(("%s: exit %d\n%s"):format(table.concat(command, " "), status, output))
    os.exit(1)
  end
  return output
end

local function number(text, name)
  return tonumber(text:match(name .. " ([%d.]+)")) or error("no " .. name .. " in: " .. text)
end

local checkpoint = ("%s/%s-%s.safetensors"):format(work, options.arch, options.resolution)
local fw, yardstick = ("%s/fw-%s-%s-%s"):format(work, options.arch, options.resolution, options.board), work .. "/sgemm"
must { "gcc", "-O2", "-std=c99", "-o", yardstick, here .. "/sgemm.c", "-lopenblas" }
if not sys.exists(checkpoint) then must { program, "synth", "--arch", options.arch, "--resolution", options.resolution, "--seed", "1", "-o", checkpoint } end

local start = sys.monotonic_ns()
must { program, "build", checkpoint, "--dialect", "sam", "--board", options.board, "-o", fw }
local build_seconds = (sys.monotonic_ns() - start) / 1e9
start = sys.monotonic_ns()
must { "make", "-C", fw }
local make_seconds = (sys.monotonic_ns() - start) / 1e9
local manifest = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")

-- Takes of each kind of measurement, in 10^9 multiply-adds a second.
local sgemm, encode, decode, core = {}, {}, {}, nil
local function measure_sgemm()
  local text = must { yardstick, options.side, "9", env = { OPENBLAS_CORETYPE = false, OPENBLAS_L2_SIZE = false, OPENBLAS_NUM_THREADS = "1" } }
  core = text:match "core ([^\n]*)"
  sgemm[#sgemm + 1] = number(text, "sgemm_gmacs")
end
measure_sgemm()
for _ = 1, tonumber(options.rounds) do
  local text = must { program, "run", fw, "--bench", "1" }
  encode[#encode + 1] = manifest.macs_encode / number(text, "encode_ms") / 1e6
  decode[#decode + 1] = manifest.macs_decode / number(text, "decode_ms") / 1e6
  measure_sgemm()
end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local n = #sorted
  return (sorted[(n + 1) // 2] + sorted[n // 2 + 1]) / 2, sorted[1], sorted[n]
end
local yard, _, best = median(sgemm)
local function row(name, list, macs)
  local mid, low, high = median(list)
  print(("%-8s %7.2f GMAC/s (%.2f to %.2f, %d takes)%s"):format(name, mid, low, high, #list,
    macs and ("  %8.1f ms  %3.0f %% of sgemm, best take of best take %3.0f %%"):format(macs / mid / 1e6, 100 * mid / yard, 100 * high / best) or ""))
end
print(("%s at %s, %s; sgemm %s^3, OpenBLAS core %s, one thread"):format(options.arch, options.resolution, options.board, options.side, core))
print(("build %.1f s, make %.1f s, arena %.1f MiB, %.1f GMAC an encode, %.2f a decode"):format(build_seconds, make_seconds, manifest.arena_bytes / 2 ^ 20,
  manifest.macs_encode / 1e9, manifest.macs_decode / 1e9))
row("sgemm", sgemm)
row("encode", encode, manifest.macs_encode)
row("decode", decode, manifest.macs_decode)

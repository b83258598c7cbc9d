-- SPDX-License-Identifier: Apache-2.0
-- Generated transforms and FFTW's, in turns in one process: luahost bench/fft.lua [OPTIONS].
--   --sizes 256,512,...  --kinds c2c,c2c-inverse,r2c,r2c-inverse  --rounds 61  --board NAME (the best for this CPU)
--   --fftw FOLDER: another FFTW than the system's, FOLDER/include and FOLDER/lib
-- A row a size and kind: microseconds a line, best of all rounds, of 128 lines; FFTW has a plan of one line
-- (FFTW_MEASURE, aligned) that writes one result after the other to the same place. Needs libfftw3-dev.
local rig = require "rig"
local program = require "signal.program"
local sys = require "msagen.sys"

local KINDS = { ["c2c"] = { 0, "c2c", false }, ["c2c-inverse"] = { 1, "c2c", true }, ["r2c"] = { 2, "r2c", false },
  ["r2c-inverse"] = { 3, "r2c", true } }

local options = rig.options { sizes = "256,512,1024,2048,4096,8192,1000,2400,3120,592", kinds = "c2c,r2c",
  rounds = "61", board = require("target.boards").best().name, fftw = "", out = "out/bench" }

print "points kind         in lanes    with moves  FFTW        in lanes/FFTW  with moves/FFTW  error      FFTW's"
for size in options.sizes:gmatch "%d+" do
  for name in options.kinds:gmatch "[^,]+" do
    local kind = KINDS[name] or rig.stop("--kinds: expected c2c, c2c-inverse, r2c or r2c-inverse, found %s", name)
    local b = program.lower { points = math.tointeger(tonumber(size)), kind = kind[2], inverse = kind[3],
      board = options.board }
    local dir = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-bench-")
    sys.cleanup(dir)
    program.write(b, dir)
    program.compile(dir)
    local command = { "gcc", "-O2", "-std=c99", "-I" .. dir, "-DKIND=" .. kind[1], "-DTABLES_AT=" .. b.weights_at, "-o",
      dir .. "/bench", "bench/fft.c", dir .. "/libmsa_fft.a" }
    if options.fftw ~= "" then
      table.move({ "-I" .. options.fftw .. "/include", "-L" .. options.fftw .. "/lib",
        "-Wl,-rpath," .. options.fftw .. "/lib" }, 1, 3, #command + 1, command)
    end
    table.move({ "-lfftw3f", "-lfftw3", "-lm", stderr = "show" }, 1, 3, #command + 1, command)
    if sys.spawn(command) ~= 0 then rig.stop "bench/fft.c: expected that it compiles; it needs libfftw3-dev" end
    local code, text = sys.spawn { dir .. "/bench", options.rounds, dir .. "/msa_weights.bin", stdout = "capture" }
    if code ~= 0 then rig.stop("%s: expected times, found exit status %d", dir .. "/bench", code) end
    local alone, whole, fftw, ours, theirs = text:match "(%S+) (%S+) (%S+) (%S+) (%S+)"
    print(("%6s %-12s %8.3f us %8.3f us %8.3f us %10.2f %16.2f     %8.2e   %8.2e"):format(size, name, alone * 1e6,
      whole * 1e6, fftw * 1e6, alone / fftw, whole / fftw, ours, theirs))
  end
end

-- SPDX-License-Identifier: Apache-2.0
-- From int16 lines to grey levels: generated front ends, and FFTW with plain C, in turns in one process on one core:
-- luahost bench/front.lua [OPTIONS].
--   --sizes 1024,2048,...  samples of a line  --decimate 1,4  --lines 192  --rounds 31  --board NAME (the best for this
--   CPU)  --fftw FOLDER: another FFTW than the system's, FOLDER/include and FOLDER/lib
-- A row a size and decimation: milliseconds a frame, best of all rounds. FFTW has plans of one line (FFTW_MEASURE),
-- gcc -O3 -march=native compiles its C; "log" is the C library's, "own log" the generated code's. Needs libfftw3-dev.
local rig = require "rig"
local built = require "signal.built"
local compile = require "run.compile"
local sys = require "msagen.sys"

local options = rig.options { sizes = "1024,2048,3120,4096", decimate = "1,4", lines = "192", rounds = "31",
  board = require("target.boards").best().name, fftw = "", out = "out/bench" }

print "samples every  generated    FFTW, log    own log      generated/FFTW  /own log  levels apart"
for size in options.sizes:gmatch "%d+" do
  for every in options.decimate:gmatch "%d+" do
    local dir = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-bench-")
    sys.cleanup(dir)
    built.build({ board = options.board, frontend = { kind = "ultrasound", format = "rf", fs = 4e7, c = 1540,
      lines = math.tointeger(tonumber(options.lines)), samples = math.tointeger(tonumber(size)), ref = 1000,
      dynamic_range_db = 60, decimate = math.tointeger(tonumber(every)) } }, dir .. "/made", "bench", function() end)
    compile(dir .. "/made")
    local command = { "gcc", "-O3", "-march=native", "-std=c99", "-I" .. dir .. "/made", "-DDECIMATE=" .. every, "-o",
      dir .. "/bench", "bench/front.c", dir .. "/made/libmsa_model.a" }
    if options.fftw ~= "" then
      table.move({ "-I" .. options.fftw .. "/include", "-L" .. options.fftw .. "/lib",
        "-Wl,-rpath," .. options.fftw .. "/lib" }, 1, 3, #command + 1, command)
    end
    table.move({ "-lfftw3f", "-lm", stderr = "show" }, 1, 2, #command + 1, command)
    command.stderr = "show"
    if sys.spawn(command) ~= 0 then rig.stop "bench/front.c: expected that it compiles; it needs libfftw3-dev" end
    local code, text = sys.spawn { dir .. "/bench", options.rounds, dir .. "/made/msa_weights.bin", stdout = "capture" }
    if code ~= 0 then rig.stop("%s: expected times, found exit status %d", dir .. "/bench", code) end
    local generated, log, own, apart = text:match "(%S+) (%S+) (%S+) (%S+)"
    print(("%7s %5s %8.3f ms %9.3f ms %8.3f ms %12.2f %12.2f %10s"):format(size, every, generated * 1e3, log * 1e3,
      own * 1e3, generated / log, generated / own, apart))
  end
end

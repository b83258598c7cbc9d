-- SPDX-License-Identifier: Apache-2.0
-- msagen fft N --kind r2c|c2c [--inverse] [--board NAME] --input FILE.npy -o FILE.npy [--bench]: lines transformed by
-- generated code.
local fail = require "support.fail"

local verb = {}

function verb.setup(command)
  command:argument("points", "Points of a line: products of primes up to 61."):argname "N"
    :convert(require("cli.prompt_options").whole(1, 1 << 20))
  command:option("--kind", "c2c: complex points; r2c: real ones, whose transform is places 0 to N / 2.")
    :argname "r2c|c2c":choices { "r2c", "c2c" }
  command:flag("--inverse", "The inverse, unscaled: N times the points; of r2c from places 0 to N / 2 to real points.")
  command:option("--board", "What the code is compiled for. Default: the best board for this CPU.")
    :argname "NAME|FILE.lua"
  command:option("--input", "Lines: float32 [N] or [lines,N]; of complex points with a last dimension of 2, re and im.")
    :argname "FILE.npy"
  command:option("-o --output", "The result, in the same form."):argname "FILE.npy"
  command:flag("--bench", "Print the time of a line, of which as many are taken as --input has, at least 128.")
end

local function usage(text)
  require("support.terminal").say("error", text .. "; see msagen fft --help")
  return 2
end

-- Lines of the input's numbers. @return bytes, shape without a line's
local function lines_of(path, b)
  local t = require("msagen.npy").read(path)
  local shape = { table.unpack(t.shape) }
  if t.dtype ~= "f32" then fail("%s: expected float32, found %s", path, t.dtype) end
  local pairs_wanted = b.facts.input ~= b.points or b.kind == "c2c"
  local expected, last = b.facts.input, shape[#shape] or 0
  if pairs_wanted then
    if last ~= 2 then fail("%s: expected a last dimension of 2, re and im, found %d", path, last) end
    table.remove(shape)
    expected = b.facts.input // 2
  end
  local found = shape[#shape] or 0
  if found ~= expected then fail("%s: expected lines of %d, found %d", path, expected, found) end
  table.remove(shape)
  if t:numel() == 0 then fail("%s: expected a line at least, found none", path) end
  return t:tobytes(), shape
end

local function bench(b, dir, bytes, program)
  local lines = math.max(128, #bytes // (4 * b.facts.input))
  local all = bytes:rep((lines * 4 * b.facts.input + #bytes - 1) // #bytes):sub(1, lines * 4 * b.facts.input)
  local _, times = program.run(b, dir, all, 61)
  table.sort(times)
  if times[1] == 0 then fail("--bench: expected a board with a clock, found %s", b.board.name) end
  print(("%d points, %d lines on %s: %.3f us a line (median of 61; best %.3f)"):format(b.points, lines, b.board.name,
    times[31] / lines * 1e6, times[1] / lines * 1e6))
end

function verb.run(args)
  if not args.kind then return usage "--kind: expected r2c or c2c, found none" end
  if not args.input then return usage "--input: expected FILE.npy, found none" end
  if not args.output and not args.bench then return usage "-o: expected FILE.npy, found none, nor --bench" end
  local program, sys, tensor = require "signal.program", require "msagen.sys", require "msagen.tensor"
  local b = program.lower { points = args.points, kind = args.kind, inverse = args.inverse, board = args.board }
  local bytes, shape = lines_of(args.input, b)
  local dir = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-fft-")
  sys.cleanup(dir)
  program.write(b, dir)
  program.compile(dir)
  if args.output then
    local out = program.run(b, dir, bytes)
    if b.facts.output ~= b.points or b.kind == "c2c" then
      shape[#shape + 1] = b.facts.output // 2
      shape[#shape + 1] = 2
    else
      shape[#shape + 1] = b.facts.output
    end
    require("msagen.npy").write(args.output, tensor.frombytes(out, "f32", shape))
  end
  if args.bench then bench(b, dir, bytes, program) end
  return 0
end

return verb

-- SPDX-License-Identifier: Apache-2.0
--- A transform of lines as a folder of C (templates/fft/), and its run: what `msagen fft` does.

local arithmetic = require "target.arithmetic"
local boards = require "target.boards"
local emit = require "emit.emit"
local fail = require "support.fail"
local fft = require "signal.fft"
local kernels = require "kernels.kernels"
local placement = require "estimate.placement"
local print = require "emit.print"
local segment = require "lower.segment"
local split = require "schedule.split"
local start_files = require "emit.start_files"
local steps = require "lower.steps"
local sys = require "msagen.sys"
local template = require "support.template"
local types = require "graph.types"

local program = {}

local RUNNER_FOLDER = require("run.made").RUNNER_FOLDER
local BENCH, WEIGHTS = "msa_fft_run", "msa_weights.bin"
local RUNTIME = { "msa_check", "msa_crc32c", "msa_hooks", "msa_status" }

-- Kinds: floats of a line and of its result, and what they are; what the function does.
local KINDS = {
  c2c = function(n, inverse)
    return { what = inverse and "inverse Fourier transforms" or "Fourier transforms", input = 2 * n, output = 2 * n,
      input_is = "re and im of each point", output_is = "re and im of each place",
      formula = inverse and "out[k] = sum of in[j] exp(2 pi i j k / MSA_FFT_POINTS): unscaled."
        or "out[k] = sum of in[j] exp(-2 pi i j k / MSA_FFT_POINTS)." }
  end,
  r2c = function(n, inverse)
    local places = 2 * (n // 2 + 1)
    if inverse then
      return { what = "inverse Fourier transforms to real points", input = places, output = n,
        input_is = "re and im of places 0 to MSA_FFT_POINTS / 2", output_is = "the points",
        formula = "MSA_FFT_POINTS times the points whose transform has these first places, and their conjugates." }
    end
    return { what = "Fourier transforms of real points", input = n, output = places, input_is = "the points",
      output_is = "re and im of places 0 to MSA_FFT_POINTS / 2",
      formula = "out[k] = sum of in[j] exp(-2 pi i j k / MSA_FFT_POINTS)." }
  end,
}

-- ---- lowering ----

local function lower(b)
  local K, n = b.kernels, b.points
  local step = steps.new("lanes", segment.new())
  local x, y = step:parameter("const float *x", "x"), step:parameter("float *y", "y")
  local pool = step:pool()
  b.step = step
  step:stage("zero", function(body)
    if b.kind == "c2c" then fft.complex(step, K, body, n, x, y, b.inverse)
    elseif b.inverse then fft.real_inverse(step, K, body, n, x, y, pool)
    else fft.real(step, K, body, n, x, y, pool) end
  end)
  b.calls = { lanes_in = K:call(K:lanes_in { C = b.facts.input, ldx = b.facts.input }, "in", "x", "lines"),
    lanes_out = K:call(K:lanes_out { C = b.facts.output, ldz = b.facts.output }, "y", "out", "lines") }
  local function room(elements) return types.lines(types.bytes(types.BASE, elements)) end
  b.x_at = types.base(types.lines(step:own()))
  b.y_at = b.x_at + types.base(room(b.facts.input * fft.lanes(K)))
  b.arena_bytes = (b.y_at * 4) + room(b.facts.output * fft.lanes(K))
end

--- A transform lowered for a board. @param options { points, kind = "c2c" or "r2c", inverse, board = name or nil }
function program.lower(options)
  local board = options.board and boards.named(options.board, "--board") or boards.best()
  local b = { points = options.points, kind = options.kind, inverse = options.inverse or false, board = board,
    kernels = kernels.new(board.isa, board, msagen.datadir .. "/templates"),
    facts = KINDS[options.kind](options.points, options.inverse) }
  b.arithmetic = arithmetic.class(board, arithmetic.DEFAULT)
  b.planned = b.kind == "r2c" and b.inverse and fft.inverse_points(b.points) or b.points
  b.plan = fft.plan.of(b.planned, b.kind == "r2c" and not b.inverse, "fft")
  lower(b)
  return b
end

-- ---- the folder ----

local function hash_lines(hex)
  local lines, line = {}, {}
  for byte in hex:gmatch "%x%x" do
    line[#line + 1] = "0x" .. byte
    if #line == 16 then lines[#lines + 1], line = "    " .. table.concat(line, ", ") .. ",", {} end
  end
  return table.concat(lines, "\n")
end

local function info_of(b)
  local start = b.board.start or { product = {}, runner = {} }
  local info = { what = "the transform", library = "msa_fft", bench = BENCH, objects = { "msa_fft.o", "msa_kernels.o" },
    headers = { "msa_fft.h", "msa_kernels.h", "msa_simd.h", "msa.h", "msa_arith.h", "msa_runtime.h" },
    runtime_objects = {}, runner_folder = RUNNER_FOLDER, runner = { BENCH, table.unpack(start.runner) },
    runner_headers = { RUNNER_FOLDER .. "/msa_run_small.h" }, start_objects = {}, extras = {} }
  for i, name in ipairs(RUNTIME) do info.runtime_objects[i] = name .. ".o" end
  for i, name in ipairs(start.product) do info.start_objects[i] = name .. ".o" end
  return info
end

local function texts_of(b, blob)
  local folder, p = msagen.datadir .. "/templates", b.plan
  local text, prototype = print.new(b.kernels, split.loops(1)):step(b.step, { at = {}, shared = 0, own = "arena" })
  local passes = { ("of %d"):format(p.first) }
  for i = #p.turns, 1, -1 do passes[#passes + 1] = ("turned, of %d"):format(p.turns[i]) end
  local counts = fft.plan.counts(p, b.planned, b.kind == "r2c" and not b.inverse)
  local env = setmetatable({ points = b.points, lanes = fft.lanes(b.kernels), arena_bytes = b.arena_bytes, blob = blob,
    x_at = b.x_at, y_at = b.y_at, calls = b.calls,
    arithmetic = b.arithmetic, board = b.board, isa = setmetatable({ activations = {} }, { __index = b.board.isa }),
    kernels = b.kernels, cores = 1, linkable = true, made_by = emit.made_by(), info = info_of(b), words = print.words,
    flags = table.concat(b.board.flags, " "), hash_lines = hash_lines(blob.model_hash), step_text = text:sub(1, -2),
    step_prototype = prototype,
    weights_at = b.weights_at, counts = counts, passes = table.concat(passes, "; ") }, { __index = function(_, key)
      local value = b.facts[key]
      if value == nil then return _G[key] end
      return value
    end })
  local texts = { ["msa_fft.h"] = template.file(folder, "fft/fft.h", env),
    ["msa_fft.c"] = template.file(folder, "fft/fft.c", env) }
  emit.packaging(texts, folder, env)
  for _, name in ipairs { "kernels.c", "kernels.h", "simd.h", "weights.S", "weights.b" } do
    texts["msa_" .. name] = template.file(folder, name, env)
  end
  local function copy(name, to) texts[to or name] = sys.read_file(msagen.datadir .. "/runtime/" .. name) end
  for _, name in ipairs(RUNTIME) do copy(name .. ".c") end
  for _, name in ipairs { "msa.h", "msa_arith.h", "msa_runtime.h" } do copy(name) end
  copy(("%s/%s.c"):format(RUNNER_FOLDER, BENCH))
  copy(RUNNER_FOLDER .. "/msa_run_small.h")
  texts["msa.h"] = emit.version(texts["msa.h"])
  texts["msa_arith.h"] = emit.arith(texts["msa_arith.h"], b.arithmetic)
  if b.board.start then
    start_files.add(texts, b.board, placement.on(b.board, nil, { arena = b.arena_bytes, weights = blob.bytes,
      code = 0 }), emit.made_by(), RUNNER_FOLDER)
  end
  return texts
end

--- Write a lowered transform to an empty folder. Leaves b.weights_at, the tables' place in the weights, in floats.
function program.write(b, dir)
  local blob = b.step.segment:write_alone(dir .. "/" .. WEIGHTS, b.arithmetic, "tables")
  b.weights_at = types.base(blob.at)
  local texts = texts_of(b, blob)
  sys.mkdir(dir .. "/" .. RUNNER_FOLDER)
  for name, text in pairs(texts) do sys.write_file(("%s/%s"):format(dir, name), text) end
end

-- ---- its run ----

--- Compile a folder (lua/run/compile.lua).
program.compile = require "run.compile"

--- Transform lines. @param b what program.lower gave, compiled in dir @param bytes of [lines, input] floats
-- @return bytes of [lines, output] floats, list of seconds
function program.run(b, dir, bytes, repetitions)
  local lines = #bytes // (4 * b.facts.input)
  local request, response = dir .. "/request", dir .. "/response"
  sys.write_file(request, string.pack("<I4I4", lines, repetitions or 0) .. bytes)
  local board = b.board
  if not boards.native(board) and not board.emulator then
    fail("--board: expected a board with an emulator, or one of this CPU, found %s", board.name)
  end
  local command = require("run.folder").command({ emulator = not boards.native(board) and board.emulator or nil },
    { ("%s/%s/%s"):format(dir, RUNNER_FOLDER, BENCH), request, response, dir .. "/" .. WEIGHTS })
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local code, said = sys.spawn(command)
  local text = code == 0 and sys.read_file(response) or ""
  local status = #text >= 8 and string.unpack("<I4", text)
  if status ~= 0 then
    fail("%s: expected a transform, found %s", dir, status and "status " .. status
      or (said or ""):match "([^\n]+)\n*$" or "exit status " .. code)
  end
  local at, times = 9 + 4 * lines * b.facts.output, {}
  for i = 1, repetitions or 0 do times[i] = string.unpack("<d", text, at + 8 * (i - 1)) end
  return text:sub(9, at - 1), times
end

return program

-- SPDX-License-Identifier: Apache-2.0
--- What the benchmarks share: options, programs that must succeed, checkpoints and builds under out/bench, takes and
-- their medians.
local sys = require "msagen.sys"
local json = require "msagen.json"

local here = sys.realpath(arg[0]:match "^(.*)/[^/]*$" or ".")
local bench = sys.exists(here .. "/sgemm.c") and here or here .. "/.."

local rig = { folder = bench, program = os.getenv "MSAGEN" or bench .. "/../gen/msagen" }

function rig.stop(format, ...)
  io.stderr:write((arg[0]:match "[^/]*$"), ": ", format:format(...), "\n")
  os.exit(1)
end

--- The command line's --KEY VALUE over the defaults.
function rig.options(defaults)
  local i = 1
  while arg[i] do
    local key = arg[i]:match "^%-%-(%a+)$"
    if not defaults[key] or not arg[i + 1] then
      local names = {}
      for name in pairs(defaults) do names[#names + 1] = name end
      table.sort(names)
      io.stderr:write(("usage: %s [--%s VALUE]\n"):format(arg[0]:match "[^/]*$", table.concat(names, " VALUE] [--")))
      os.exit(2)
    end
    defaults[key] = arg[i + 1]
    i = i + 2
  end
  sys.mkdir_p(defaults.out)
  rig.out = defaults.out
  return defaults
end

-- Of a failed program's output, the line that says most.
local function telling_line(output)
  for _, pattern in ipairs { "error", "Error", "." } do
    for line in output:gmatch "[^\n]+" do
      if line:find(pattern) then return line end
    end
  end
  return "no output"
end

--- Run a program. -> its output and peak memory in bytes; or nil and the line that tells why not.
function rig.try(command)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local ran, status, output, peak = pcall(sys.spawn, command)
  if not ran then return nil, type(status) == "table" and status.msagen or tostring(status) end
  if status ~= 0 then return nil, telling_line(output) end
  return output, peak
end

--- The same where nothing else will do; `what` says what to install if it is missing.
function rig.must(command, what)
  local output, peak = rig.try(command)
  if not output then rig.stop("%s%s", peak, what and "; " .. what or "") end
  return output, peak
end

--- All `name NUMBER` lines, in order.
function rig.numbers(text, name)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    local value = line:match("^" .. name .. " ([%d.e+-]+)$")
    if value then list[#list + 1] = tonumber(value) end
  end
  if #list == 0 then rig.stop("expected %s, found: %s", name, (text:gsub("\n", " "))) end
  return list
end

--- Median, lowest, highest.
function rig.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local n = #sorted
  return (sorted[(n + 1) // 2] + sorted[n // 2 + 1]) / 2, sorted[1], sorted[n]
end

--- Synthetic weights, made once, and the path of the image that goes with them.
function rig.checkpoint(arch, resolution, dialect)
  local stem = ("%s/%s-%s-%s"):format(rig.out, dialect, arch, resolution)
  local path, image = stem .. ".safetensors", stem .. ".npy"
  if not sys.exists(path) or not sys.exists(image) then
    rig.must { rig.program, "synth", "--arch", arch, "--dialect", dialect, "--resolution", tostring(resolution),
      "--seed", "1", "-o", path, "--image-out", image }
  end
  return path, image
end

--- Build synthetic weights for so many cores, as rig.build. @param dialect sam unless given @param precision f32
-- unless given
function rig.build_sam(arch, resolution, board, cores, dialect, precision)
  dialect = dialect or "sam"
  local name = ("fw-%s-%s-%s"):format(dialect == "sam" and arch or dialect .. "-" .. arch, resolution, board.name)
  local arguments = { "--dialect", dialect, "--resolution", resolution }
  if cores ~= "1" then
    name = name .. "-" .. cores
    table.move({ "--cores", cores }, 1, 2, #arguments + 1, arguments)
  end
  if precision and precision ~= "f32" then
    name = name .. "-" .. precision
    table.move({ "--precision", precision }, 1, 2, #arguments + 1, arguments)
  end
  return rig.build(name, (rig.checkpoint(arch, resolution, dialect)), board, arguments)
end

--- Build and compile into a folder, with what it took: { path =, board =, manifest =, build_seconds =, build_peak =,
-- make_seconds =, text_bytes = }; or nil, why.
function rig.build(name, checkpoint, board, arguments)
  local fw = { path = rig.out .. "/" .. name, board = board }
  local start = sys.monotonic_ns()
  local output, peak = rig.try { rig.program, "build", checkpoint, "--board", board.name, "-o", fw.path,
    table.unpack(arguments) }
  if not output then return nil, peak end
  fw.build_seconds, fw.build_peak = (sys.monotonic_ns() - start) / 1e9, peak
  start = sys.monotonic_ns()
  rig.must { "make", "-C", fw.path, env = { MAKEFLAGS = false } }
  fw.make_seconds = (sys.monotonic_ns() - start) / 1e9
  fw.manifest = json.decode(sys.read_file(fw.path .. "/manifest.json"), "manifest.json")
  fw.text_bytes = 0
  for text in rig.must({ "size", fw.path .. "/libmsa_model.a" }):gmatch "\n *(%d+)" do
    fw.text_bytes = fw.text_bytes + tonumber(text)
  end
  return fw
end

--- The program of model.c for a build. -> function(repetitions) -> its output
function rig.model(fw)
  local command = { fw.board.compiler, "-O2", "-std=c99", "-I", fw.path, "-o", fw.path .. ".model",
    rig.folder .. "/model.c" }
  -- before the library, whose hooks it replaces
  if fw.manifest.cores > 1 then table.move({ "-pthread", fw.path .. "/msa_threads.o" }, 1, 2, #command + 1, command) end
  command[#command + 1] = fw.path .. "/libmsa_model.a"
  for _, flag in ipairs(fw.board.flags) do table.insert(command, 2, flag) end
  rig.must(command)
  return function(repetitions)
    return rig.must { fw.path .. ".model", fw.path .. "/" .. fw.manifest.weights, tostring(repetitions) }
  end
end

local LIBRARIES = {
  openblas = { flags = { "-lopenblas" }, package = "libopenblas-dev", narrow = { OPENBLAS_CORETYPE = "Haswell" } },
  onednn = { flags = { "-DYARDSTICK_ONEDNN", "-ldnnl" }, package = "libdnnl-dev", narrow = { DNNL_MAX_CPU_ISA =
    "AVX2" } },
}

--- A library's product of side^3. @param narrow is it to take its kernels for AVX2 instead of those it chooses
-- @param library openblas unless given; or onednn
-- @return function() -> ms and cpu_ms of nine takes; and a table with `core`, its choice, and `macs`
function rig.sgemm(side, threads, narrow, library)
  library = library or "openblas"
  local of = LIBRARIES[library]
  local path, facts = rig.out .. "/sgemm-" .. library, {}
  local env = { OPENBLAS_CORETYPE = false, OPENBLAS_L2_SIZE = false, OPENBLAS_NUM_THREADS = threads,
    OMP_NUM_THREADS = threads, DNNL_MAX_CPU_ISA = false }
  for name, value in pairs(narrow and of.narrow or {}) do env[name] = value end
  local compile = { "gcc", "-O2", "-std=c99", "-o", path, rig.folder .. "/sgemm.c" }
  rig.must(table.move(of.flags, 1, #of.flags, #compile + 1, compile), ("Debian's %s has what it needs"):format(
    of.package))
  return function()
    local text = rig.must { path, side, "9", threads, env = env }
    facts.core, facts.macs = text:match "core ([^\n]*)", rig.numbers(text, "macs")[1]
    return { ms = { (rig.median(rig.numbers(text, "ms"))) }, cpu_ms = { (rig.median(rig.numbers(text, "cpu_ms"))) } }
  end, facts
end

--- Takes of one thing: lists `ms` and `cpu_ms`, and `macs` of a take.
function rig.takes(macs) return { ms = {}, cpu_ms = {}, macs = macs } end

function rig.add(takes, ms, cpu_ms)
  for i = 1, #ms do takes.ms[#takes.ms + 1], takes.cpu_ms[#takes.cpu_ms + 1] = ms[i], cpu_ms[i] end
end

--- A line: median with the spread, processor time, rate; against another's rate if there is one, in three ways.
-- @param of that other's name, sgemm unless given
function rig.row(name, takes, yard, of)
  local mid, low, high = rig.median(takes.ms)
  local busy, least = rig.median(takes.cpu_ms)
  local line = ("%-24s %9.2f ms (%.2f to %.2f, %d takes)  cpu %9.2f ms  %7.2f GMAC/s"):format(name, mid, low, high,
    #takes.ms, busy, takes.macs / mid / 1e6)
  if yard then
    local ymid, ylow = rig.median(yard.ms)
    local ybusy, yleast = rig.median(yard.cpu_ms)
    local scale = 100 * takes.macs / yard.macs
    line = line .. ("  %3.0f %% of %s (best takes %.0f, cpu %.0f, its best %.0f)"):format(scale * ymid / mid,
      of or "sgemm", scale * ylow / low, scale * ybusy / busy, scale * yleast / least)
  end
  print(line)
end

--- How many times as long as `ours` `theirs` takes: by the medians, the best takes and processor time.
function rig.ratio(theirs, ours)
  local a, alow = rig.median(theirs.ms)
  local b, blow = rig.median(ours.ms)
  return ("%.2f (best takes %.2f, cpu %.2f)"):format(a / b, alow / blow,
    rig.median(theirs.cpu_ms) / rig.median(ours.cpu_ms))
end

return rig

-- SPDX-License-Identifier: Apache-2.0
-- Instructions for each multiply-add of a matrix product, counted by each board's emulator: luahost bench/count.lua
-- [BOARD...] [--shape 32x128x128] [--precision f32|bf16|int8]: of lower precision with
-- the rows' rounding. See bench/README.md.
package.path = package.path:gsub("^[^;]*;", "", 1) -- the compiler's modules are meant, not scripts of their names
local sys = require "msagen.sys"
local boards, kernels, template = require "target.boards", require "kernels.kernels", require "support.template"

local here = sys.realpath(arg[0]:match "^(.*)/[^/]*$" or ".")
local program = os.getenv "MSAGEN" or here .. "/../gen/msagen"
local shape, precision, wanted = "32x128x128", "f32", {}
do
  local i = 1
  while arg[i] do
    if arg[i] == "--shape" and arg[i + 1] then shape, i = arg[i + 1], i + 2
    elseif arg[i] == "--precision" and arg[i + 1] then precision, i = arg[i + 1], i + 2
    else wanted[arg[i]], i = true, i + 1
    end
  end
end
local M, N, K = shape:match "^(%d+)x(%d+)x(%d+)$"
M, N, K = math.tointeger(M), math.tointeger(N), math.tointeger(K)
local HEADERS = { f32 = "msa_simd.h", bf16 = "msa_bf16.h", int8 = "msa_int8.h" }
if not M or not HEADERS[precision] then
  io.stderr:write "usage: count.lua [BOARD...] [--shape MxNxK] [--precision f32|bf16|int8]\n"
  os.exit(2)
end

local function try(command)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local ok, status, output = pcall(sys.spawn, command)
  if not ok then return nil, ("there is no %s"):format(command[1]) end
  if status ~= 0 then
    return nil, ("%s: exit %d: %s"):format(command[1], status, output:match "[^\n]*error[^\n]*" or output:match "[^\n]*"
      or "")
  end
  return output
end

local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "count-")

-- Start-up code and linker script, of any build for a board without an operating system.
local function start_of(board)
  local fw = work .. "/" .. board.name
  local demo = here .. "/../demo/fetal-head/checkpoint.safetensors"
  local ok, why = try { program, "build", demo, "--dialect", "msa-paper",
    "--board", board.name, "-o", fw }
  if ok then ok, why = try { "make", "-C", fw, "start", env = { MAKEFLAGS = false } } end
  if not ok then return nil, why end
  local words = { "-nostdlib", "-DBARE", "-T", fw .. "/" .. board.start.script }
  for _, object in ipairs(board.start.product) do words[#words + 1] = ("%s/%s.o"):format(fw, object) end
  return words
end

-- The calls of a product by precision. In lower precision its rows lie in a's place, its room behind c.
local calls = {}

function calls.f32(set, lda, ldc)
  return set:call(set:gemm { M = M, N = N, K = K, lda = lda, ldc = ldc }, "a", "b", "c")
end

local function lowered(set, rows, a, b, product, room, cast)
  local words = { a, b }
  if room > 0 then words[3] = ("%s(c + %d)"):format(cast, M * kernels.stride(N) + 16) end
  words[#words + 1] = "c"
  return ("do { %s; %s; } while (0)"):format(set:call(rows, "a", a), set:call(product, table.unpack(words)))
end

function calls.bf16(set, lda, ldc)
  local rows = set:round_rows { rows = M, C = K, ldx = lda, ldy = lda }
  local product, room = set:gemm { M = M, N = N, K = K, lda = lda, ldc = ldc, precision = "bf16" }
  return lowered(set, rows, "a", "(const uint16_t *)(const void *)b", product, room, "")
end

function calls.int8(set, lda, ldc)
  local rows = set:quantise_rows { rows = M, C = K, ldx = lda, ldq = 4 * lda }
  local product, room = set:gemm_int8 { M = M, N = N, K = K, lda = 4 * lda, ldc = ldc }
  return lowered(set, rows, "(int8_t *)(void *)a", "(const int8_t *)(const void *)b", product, room,
    "(int8_t *)(void *)")
end

local function count(board)
  local set = kernels.new(board.isa, board, msagen.datadir .. "/templates")
  local lda, ldc = kernels.stride(K), kernels.stride(N)
  local call = calls[precision](set, lda, ldc)
  sys.write_file(work .. "/msa_arith.h", sys.read_file(msagen.datadir .. "/runtime/msa_arith.h"))
  sys.write_file(work .. "/msa_simd.h", template.file(msagen.datadir .. "/templates", "simd.h",
    { isa = board.isa, made_by = "", msa_vec = "", flags = "" }))
  for _, name in ipairs { "int8", "bf16" } do
    sys.write_file(("%s/msa_%s.h"):format(work, name), template.file(msagen.datadir .. "/templates", name .. ".h",
      { isa = board.isa, integer = board.integer, bf16 = board.bf16 or false, made_by = "", flags = "" }))
  end
  sys.write_file(work .. "/count_shape.h",
    ('#include "%s"\n%s\n#define A_FLOATS %d\n#define B_FLOATS %d\n#define C_FLOATS %d\n'
      .. '#define call(a, b, c) %s\n'):format(
    HEADERS[precision], table.concat(set.texts, "\n"), M * lda,
    (N + 15) // 16 * 16 * K, M * ldc + 16 + 64 * K, call))
  local base = { board.compiler }
  for word in (board.optimisation or "-O2"):gmatch "%S+" do base[#base + 1] = word end
  table.move({ "-std=c99", "-ffp-contract=off", "-fno-math-errno", "-I", work, "-o", work .. "/count",
    here .. "/count.c" }, 1, 8, #base + 1, base)
  table.move(board.flags, 1, #board.flags, #base + 1, base)
  local emulator = board.emulator
  if board.hosted then base[#base + 1] = "-static"
  else
    local start, why = start_of(board)
    if not start then return nil, why end
    table.move(start, 1, #start, #base + 1, base)
  end
  emulator = emulator or board.isa.name == "c99" and { "qemu-x86_64" }
  if not emulator then return nil, "no emulator has its instructions" end
  -- A line for each instruction that is executed; what one call takes more than none is the product's.
  local command = { "sh", "-c", '"$@" 2>&1 | grep -c "^Trace"', "sh", emulator[1], "-singlestep", "-d", "exec,nochain" }
  local placed
  for i = 2, #emulator do
    command[#command + 1] = emulator[i]:gsub("{(%l+)}", function(what)
      placed = true
      return what == "program" and work .. "/count" or ""
    end)
  end
  if not placed then command[#command + 1] = work .. "/count" end
  local executed = {}
  for calls = 0, 1 do
    local compiled, why = try(table.move({ "-DCALLS=" .. calls }, 1, 1, #base + 1, table.move(base, 1, #base, 1, {})))
    if not compiled then return nil, why end
    local output, reason = try(table.move(command, 1, #command, 1, {}))
    if not output then return nil, reason end
    executed[calls] = math.tointeger(tonumber(output:match "^(%d+)\n$"))
  end
  return executed[1] - executed[0]
end

for _, board in ipairs(boards.all()) do
  if next(wanted) == nil or wanted[board.name] then
    local instructions, why = count(board)
    print(instructions and ("%-20s %10d instructions, %.3f a multiply-add of %s"):format(board.name, instructions,
      instructions / (M * N * K), shape) or ("%-20s skipped: %s"):format(board.name, why))
    io.stdout:flush()
  end
end
sys.remove_tree(work)

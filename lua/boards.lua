-- SPDX-License-Identifier: Apache-2.0
--- The boards: one file each in boards/, a table.
--   name, summary      what the command line calls it, and a line about it
--   isa                an instruction set of lua/isa
--   arithmetic         its class, f32-fma-1 unless said: f32-muladd-1 where there are no fused multiply-adds
--   hosted             true where the board runs an operating system with stdio
--   requires           CPU features (as the host program names them) without which it cannot run here natively
--   preference         the highest one whose requirements this CPU meets is the default
--   emulator           argument list to run its programs with where the CPU cannot, or nil. {program} and, for semihosting, {arguments} are
--                      replaced in it; without them the program and its arguments follow
--   compiler, flags    command and target flags; archiver: ar unless said; link_flags: more flags where the runner is linked;
--                      optimisation: what the Makefile's CFLAGS begin as, -O2 unless said
--   start              where there is no operating system (docs/boards.md): { folder, script, product, runner }: of boards/FOLDER the
--                      linker script, a template, and C files: start-up code, and what stands in for an operating system under the runner
--   cores              the most that --cores may say, 8 unless said
--   stack              bytes, of boards with a linker script
--   core               per cycle: fma_per_cycle, loads_per_cycle, stores_per_cycle (vectors), issue (instructions);
--                      in cycles: fma_latency, divide (a vector), mispredict (a branch)
--   caches             bytes for one core: l1, l2, and l3 if there is one
--   bytes_per_cycle    from l2, l3 and memory to one core
--   address_bits       of a place in the memory of one program, 47 unless said: a larger arena is refused
--   clock              Hz of the core, nominal; where the board's code runs natively, plans measure instead (lua/plan.lua)
--   code               bytes of machine code: operation (a vector operation), loop, call
--   memories           list of { name, address, bytes, kind = "ram", "flash" or "ddr", holds, bandwidth, reserved }: holds lists what may lie
--                      there, of "arena", "weights" and "code", the first memory that has room being taken; bandwidth, bytes per
--                      second that the core reads; reserved, bytes for stack and everything else; address, for the linker script alone.
--                      Without it: boards.memories
local fail = require "fail"
local sys = require "msagen.sys"

local boards = {}

--- The classes of arithmetic (docs/compiler.md).
boards.classes = { ["f32-fma-1"] = true, ["f32-muladd-1"] = true }

local function folder() return msagen.datadir .. "/boards" end

local function load_board(name)
  local path = folder() .. "/" .. name .. ".lua"
  local chunk, message = loadfile(path, "t", {})
  if not chunk then fail("%s", message) end
  local board = chunk()
  assert(board.name == name, path)
  local isa_path = msagen.datadir .. "/lua/isa/" .. board.isa .. ".lua"
  local isa = assert(loadfile(isa_path, "t", {}))()
  isa.name = board.isa
  board.isa = isa
  board.arithmetic = board.arithmetic or "f32-fma-1"
  if not boards.classes[board.arithmetic] then fail("%s: arithmetic: expected f32-fma-1 or f32-muladd-1, found %s", path, tostring(board.arithmetic)) end
  if board.arithmetic == "f32-muladd-1" then
    isa.fma, isa.fma_lane = "msa_vadd(msa_vmul(a, b), c)", nil
  elseif not isa.fma then
    fail("%s: arithmetic: expected f32-muladd-1, as %s has no fused multiply-add, found f32-fma-1", path, isa.name)
  end
  return board
end

--- All boards, by name.
function boards.all()
  local list = {}
  for _, file in ipairs(sys.list(folder())) do
    local name = file:match("^(.+)%.lua$")
    if name then list[#list + 1] = load_board(name) end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- Whether this CPU runs the board's code natively.
function boards.native(board)
  if not board.hosted then return false end
  local features = sys.cpu_features()
  for _, feature in ipairs(board.requires) do
    if not features[feature] then return false end
  end
  return true
end

--- The memories of a board; of a hosted one that names none: all of this machine's if its code runs here, else as much as it needs.
function boards.memories(board)
  if board.memories then return board.memories end
  return { { name = "memory", kind = "ram", holds = { "arena", "weights", "code" }, bandwidth = 10e9, bytes = boards.native(board) and require("msagen.speed").memory() or math.huge } }
end

--- The board of a name; refused with the list if there is none.
function boards.named(name)
  local names = {}
  for _, board in ipairs(boards.all()) do
    if board.name == name then return board end
    names[#names + 1] = board.name
  end
  fail("--board: expected one of %s, found %s", table.concat(names, ", "), name)
end

--- The fastest board that this CPU can run.
function boards.best()
  local best
  for _, board in ipairs(boards.all()) do
    if boards.native(board) and (not best or board.preference > best.preference) then best = board end
  end
  return best
end

return boards

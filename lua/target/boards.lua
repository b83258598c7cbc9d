-- SPDX-License-Identifier: Apache-2.0
--- The boards: one file each in boards/, a table; or a user's own, a file anywhere or a table in a build script
-- (docs/boards.md). lua/target/board_check.lua says what each field may be, boards/template/my-board.lua where its
-- number is found.
--   like               name of a board of msagen's whose fields it has where it does not say otherwise; false: has none
--   name, summary      what the command line calls it, and a line about it
--   integer            products of whole numbers: a file of lua/target/integer likewise, c99 unless said
--   bf16               an instruction that multiplies pairs in bf16: a file of lua/target/bf16; none unless said
--   isa                an instruction set of lua/target/isa, or the name of such a file, NAME.lua, beside the board's
--                      own
--   arithmetic         its class, f32-fma-1 unless said: f32-muladd-1 where there are no fused multiply-adds
--   registers          vector registers, where the core has another number than the instruction set says
--   hosted             true where the board runs an operating system with stdio
--   requires           CPU features (as the host program names them) without which it cannot run here natively
--   preference         the highest one whose requirements this CPU meets is the default
--   default_on         CPU features without which it is no default all the same
--   emulator           argument list to run its programs with where the CPU cannot, or nil. {program} and, for
-- semihosting, {arguments} are
--                      replaced in it; without them the program and its arguments follow
--   compiler, flags    command and target flags; archiver: ar unless said; link_flags: more flags where the runner is
-- linked;
--                      optimisation: what the Makefile's CFLAGS begin as, -O2 unless said
--   start              where there is no operating system (docs/boards.md): { folder, script, product, runner }: of
-- FOLDER beside
--                      the board's file, or else of boards/FOLDER, the linker script, a template, and C files: start-up
-- code, and what stands in for an
--                      operating system under the runner
--   cores              the most that --cores may say, 8 unless said
--   stack              bytes, of boards with a linker script
--   core               per cycle: fma_per_cycle, loads_per_cycle, stores_per_cycle (vectors), issue (instructions);
--                      in cycles: fma_latency, divide (a vector), mispredict (a branch),
--                      turn (optional: what loads behind multiply-adds wait, on a core that keeps the order of
-- instructions and issues one or the other)
--   caches             bytes for one core: l1, l2, and l3 if there is one
--   bytes_per_cycle    from l2, l3 and memory to one core
--   prefetch           bytes of a product's b from which on tiles ask for the panels after theirs; unless said they
-- never do
--   address_bits       of a place in the memory of one program, 47 unless said: a larger arena is refused
--   clock              Hz of the core, nominal; where the board's code runs natively, plans measure instead
-- (lua/estimate/plan.lua)
--   code               bytes of machine code: operation (a vector operation), loop, call
--   memories           list of { name, address, bytes, kind = "ram", "flash" or "ddr", holds, bandwidth, reserved }:
-- holds lists what may lie
--                      there, of "arena", "weights" and "code", the first memory that has room being taken; bandwidth,
-- bytes per
--                      second that the core reads; reserved, bytes for stack and everything else; address, for the
-- linker script alone.
--                      Without it: boards.memories
local check = require "target.board_check"
local closed = require "support.closed"
local fail = require "support.fail"
local inherited_emulator = require "target.inherited_emulator"
local sandbox = require "support.sandbox"
local sys = require "msagen.sys"

local boards = {}

local function installed() return msagen.datadir .. "/boards" end

-- Boards that are loaded, each with the folders in which its files are looked for; tables of users' own are not among
-- them.
local folders = setmetatable({}, { __mode = "k" })

local function unknown(name)
  return ("expected a table of texts, numbers and tables alone, found %s, which is none of its names"):format(name)
end

--- What a file that only returns a table returns: `what` for messages. A user's file runs in a sandbox; one of msagen's
-- own, found by its name in the installation, is as much msagen as this line is. What goes wrong is said in one line.
local function table_of(path, what, own)
  if not sys.exists(path) or sys.isdir(path) then
    fail("%s: expected %s, found %s", path, what, sys.isdir(path) and "a folder" or "none")
  end
  local result
  if own then result = assert(load(sys.read_file(path), "@" .. path, "t", {}))()
  else result = sandbox.run(path, { unknown = unknown }) end
  if type(result) ~= "table" then
    fail("%s: expected a file that returns a table, found %s", path, result == nil and "nothing" or type(result))
  end
  return result
end

--- The folder of `name`, which is beside the board's file or, for what the board does not bring, in boards/.
local function found_in(places, folder, name)
  for _, place in ipairs(places) do
    local path = ("%s/%s"):format(place, folder)
    if sys.exists(path .. "/" .. name) and not sys.isdir(path .. "/" .. name) then return path end
  end
end

-- A table of lua/target/KIND, or of a file beside the board's. @return it, with its name, and its path
local function load_set(kind, name, place, where)
  local theirs = name:match "%.lua$" and not name:find("/", 1, true)
  local folder = ("%s/lua/target/%s"):format(msagen.datadir, kind)
  local path = theirs and ("%s/%s"):format(place, name) or ("%s/%s.lua"):format(folder, name)
  if not name:match "^[%w_.-]+$" or not sys.exists(path) then
    local names = {}
    for _, file in ipairs(sys.list(folder)) do names[#names + 1] = file:match "^(.+)%.lua$" end
    fail("%s: %s: expected one of %s, or a file beside it, found %s%s", where, kind, table.concat(names, ", "),
      (name:gsub("%c", " ")), closed.hint(name, names))
  end
  local set = table_of(path, "an instruction set's file", not theirs)
  return set, name:gsub("%.lua$", ""), path
end

-- The same, checked. @param isa for what is an instruction set's: that
local function load_checked(kind, name, place, where, isa)
  local set, plain_name, path = load_set(kind, name, place, where)
  check[kind](set, path, isa)
  set.name = plain_name
  return set
end

local function plain(word) return (word:lower():gsub("[^%w]", "")) end

-- The one board whose summary has a word that begins the other way round, or as the wanted one does: a chip's name, for
-- instance.
local function by_summary(wanted)
  local found
  for _, name in ipairs(boards.names()) do
    local summary = tostring(table_of(("%s/%s.lua"):format(installed(), name), "a board's file").summary)
    for word in summary:gmatch "[%w.]+" do
      local one = plain(word)
      if #one >= 3 and one:find "%d" and #wanted >= 3
        and (one:sub(1, #wanted) == wanted or wanted:sub(1, #one) == one) then
        if found and found ~= name then return nil end
        found = name
      end
    end
  end
  return found
end

--- " (did you mean NAME?)" for what is no board's name but near to one, or named by its summary, else an empty text.
function boards.hint(name)
  local hint = closed.hint(name, boards.names())
  local other = hint == "" and type(name) == "string" and by_summary(plain(name))
  return other and (" (did you mean %s?)"):format(other) or hint
end

--- Put the fields of the board that `board` is like under its own. @param via names of boards that led here
-- @return the whole, and why it has not the other's emulator, if so
function boards.completed(board, where, via)
  local like = board.like
  if like == nil then return board end
  if type(like) ~= "string" or not like:match "^[%w_.-]+$"
    or not sys.exists(("%s/%s.lua"):format(installed(), like)) then
    fail("%s: like: expected one of %s, found %s%s", where, table.concat(boards.names(), ", "), check.shown(like),
      boards.hint(like))
  end
  local path = ("%s/%s.lua"):format(installed(), like)
  if via and via[like] then fail("%s: like: expected a board that is not like this one, found %s", where, like) end
  via = via or {}
  via[like] = true
  local whole = {}
  local base, lost = boards.completed(table_of(path, "a board's file", true), path, via)
  for key, value in pairs(base) do whole[key] = value end
  for key, value in pairs(board) do
    if value == false and key ~= "hosted" then whole[key] = nil else whole[key] = value end
  end
  whole.like = nil
  local why = board.emulator == nil and base.emulator and inherited_emulator.lost(whole, base)
  if why then whole.emulator, lost = nil, inherited_emulator.text(like, why) end
  return whole, board.emulator == nil and lost or nil
end

--- A board from a table that says what its file would.
-- @param place folder beside which its own files lie  @param where what messages begin with
local function from_table(raw, place, where)
  local board = {}
  local whole, lost = boards.completed(raw, where)
  for key, value in pairs(whole) do board[key] = value end
  local places = place == installed() and { place } or { place, installed() }
  check.board(board, where, function(name) return found_in(places, board.start.folder, name) end)
  board.isa = load_checked("isa", board.isa, place, where)
  board.integer = load_checked("integer", board.integer or "c99", place, where, board.isa)
  board.bf16 = board.bf16 and load_checked("bf16", board.bf16, place, where)
  board.isa.registers = board.registers or board.isa.registers
  board.arithmetic = board.arithmetic or "f32-fma-1"
  board.flags = table.move(board.flags, 1, #board.flags, 1, {})
  -- behind the board's own, so that these hold
  for _, flag in ipairs(board.isa.flags or {}) do board.flags[#board.flags + 1] = flag end
  if board.arithmetic == "f32-muladd-1" then
    board.isa.fma, board.isa.fma_lane, board.isa.fma_scalar = "msa_vadd(msa_vmul(a, b), c)", nil, nil
    board.isa.fnma = "msa_vsub(c, msa_vmul(a, b))"
  elseif not board.isa.fma then
    fail("%s: arithmetic: expected f32-muladd-1, as %s has no fused multiply-add, found f32-fma-1", where,
      board.isa.name)
  end
  if place ~= installed() then board.source = where end
  board.emulator_lost = lost
  folders[board] = places
  return board
end

--- The board of a file.
-- @param own it is one of msagen's, and its path from its name
function boards.from_file(path, own)
  local name = path:match "([^/]*)%.lua$"
  if not name then fail("%s: expected a board's file, NAME.lua, found another name", path) end
  local board = from_table(table_of(path, "a board's file", own), path:match "^(.*)/[^/]*$" or ".", path)
  if board.name ~= name then fail("%s: name: expected %s, as the file is called, found %s", path, name, board.name) end
  return board
end

--- The names of msagen's own boards, in order.
function boards.names()
  local names = {}
  for _, file in ipairs(sys.list(installed())) do names[#names + 1] = file:match "^(.+)%.lua$" end
  table.sort(names)
  return names
end

--- All of msagen's own boards, by name.
function boards.all()
  local list = {}
  for i, name in ipairs(boards.names()) do list[i] = boards.from_file(("%s/%s.lua"):format(installed(), name), true) end
  return list
end

--- The folder that has a file of board.start.
function boards.folder_of(board, file)
  return found_in(folders[board], board.start.folder, file)
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

--- Whether the board's compiler is installed and takes its flags: a plain gcc does so on processors of the board's
-- family alone.
function boards.compiles(board)
  local command = { board.compiler, "-E", "-x", "c", "/dev/null", stdin = "/dev/null", stdout = "/dev/null",
    stderr = "/dev/null" }
  table.move(board.flags, 1, #board.flags, #command + 1, command)
  local ok, status = pcall(sys.spawn, command)
  return ok and status == 0
end

--- The memories of a board; of a hosted one that names none: all of this machine's if its code runs here, else as much
-- as it needs.
function boards.memories(board)
  if board.memories then return board.memories end
  return { { name = "memory", kind = "ram", holds = { "arena", "weights", "code" }, bandwidth = 10e9,
    bytes = boards.native(board) and require("msagen.speed").memory() or math.huge } }
end

--- Whether what a user calls a board is a file of their own.
function boards.is_file(name)
  return name:find("/", 1, true) ~= nil or name:match "%.lua$" ~= nil
end

--- The board of a name of msagen's own, of a file's path, or of a table as such a file returns it; refused with the
-- list if there is none.
-- @param where of a table: what messages begin with  @param place of a table: the folder beside which its files lie
-- @param option that a name is of, nil: --board
function boards.named(name, where, place, option)
  if type(name) == "table" then return folders[name] and name or from_table(name, place or ".", where or "board") end
  if boards.is_file(name) then return boards.from_file(name) end
  for _, known in ipairs(boards.names()) do
    if known == name then return boards.from_file(("%s/%s.lua"):format(installed(), name), true) end
  end
  fail("%s: expected one of %s, or a file of your own (NAME.lua), found %s%s", option or "--board",
    table.concat(boards.names(), ", "), check.shown(name), boards.hint(name))
end

--- The fastest board that this CPU can run.
function boards.best()
  local best, features = nil, sys.cpu_features()
  for _, board in ipairs(boards.all()) do
    local default = boards.native(board)
    for _, feature in ipairs(board.default_on or {}) do default = default and features[feature] end
    if default and (not best or board.preference > best.preference) then best = board end
  end
  return best
end

return boards

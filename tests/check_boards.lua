-- SPDX-License-Identifier: Apache-2.0
-- Golden cases on boards, under the emulator of those that have one: on every board whose compiler and emulator there
-- are, every case that fits its memories has the digest of its class. luahost check_boards.lua [small]
--   BOARDS   names, or board files of one's own, parted by blanks; default: all that msagen has, or with small those
-- that run under an operating system, and here only in an emulator (run_bare.lua has the others)
--   CASES    beginnings of cases' names; default: all, or with small one of two that take little, of an image and of a
-- volume
local sys = require "msagen.sys"
local boards = require "target.boards"
local cases = require "cases"
local fail = require "support.fail"
local tally = require "tally"

local work = tally.folder "check-boards"
local SMALL = { "msa-2023-2d-trainer-file", "msa-2025-3d-no-chunk" }

local function words(text)
  local list = {}
  for word in (text or ""):gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function named(name)
  local ok, board = pcall(boards.named, name)
  if ok then return board end
  fail("BOARDS: %s", (tostring(board.msagen or board):gsub("^%-%-board: ", "")))
end

--- The boards asked for, and the cases; what is misspelt ends the program.
local function chosen()
  local listed, names = {}, words(os.getenv "BOARDS")
  for _, name in ipairs(#names > 0 and names or boards.names()) do
    local board = named(name)
    local small = board.emulator and board.hosted and not boards.native(board)
    if #names > 0 or arg[1] ~= "small" or small then listed[#listed + 1] = { name = name, board = board } end
  end
  local prefixes, found = words(os.getenv "CASES"), {}
  if #prefixes == 0 then prefixes = arg[1] == "small" and SMALL or { "" } end
  for _, prefix in ipairs(prefixes) do
    local before = #found
    for _, name in ipairs(sys.list(cases.folder)) do
      if name:sub(1, #prefix) == prefix and cases.checkpoint(name) then
        if not found[name] then found[#found + 1] = { name = name, case = cases.read(name) } end
        found[name] = true
      end
    end
    if #found == before and not found[prefix] then
      fail("CASES: expected beginnings of golden cases' names, found %s", prefix)
    end
  end
  return listed, found
end

--- Why a board cannot be run here, or nil.
local function obstacle(board)
  if not board.emulator and not boards.native(board) then return "this is another CPU, and it has no emulator" end
  for _, program in ipairs { board.compiler, board.emulator and board.emulator[1] } do
    if not pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null",
      stderr = "/dev/null" }) then
      return "there is no " .. program
    end
  end
  if not boards.compiles(board) then
    return ("%s does not take %s"):format(board.compiler, table.concat(board.flags, " "))
  end
end

--- Why a case does not fit a board's memories, or nil.
local function too_large(one, name)
  local command = cases.build(one.name, one.case, name, "/dev/null")
  for i, word in ipairs(command) do
    if word == "-o" then table.remove(command, i + 1) table.remove(command, i) break end
  end
  command[2], command.stdin, command.stdout, command.stderr = "plan", "/dev/null", "capture", "capture"
  local status, output = sys.spawn(command)
  if status == 0 then return nil end
  return output:match "(expected room on [^\n]*)" or error(output:gsub("%s+$", ""), 0)
end

local function digest(one, name, fw, emulated)
  local folder, prompts = cases.folder .. "/" .. one.name, work .. "/prompts.json"
  tally.must(cases.build(one.name, one.case, name, fw))
  if emulated then cases.emulate(fw) end
  sys.write_file(prompts, cases.prompts(one.name, one.case))
  local found = cases.digest(tally.must { tally.program, "run", fw, "--image", folder .. "/image.npy", "--prompts",
    prompts, "--digest" })
  sys.remove_tree(fw)
  return found
end

--- A case's digest on a board; or nil, and why it does not fit.
local function attempt(one, name, board)
  local why = too_large(one, name)
  if why then return nil, why end
  local ok, found = pcall(digest, one, name, work .. "/fw", board.emulator)
  if ok then return found end
  -- Without an operating system the test bench has the image, too, in what the arena leaves.
  why = not board.hosted and tostring(found):match "%d+ bytes of memory: not to be had"
  if why then return nil, "no room for the test bench beside the model: " .. why end
  error(found, 0)
end

local listed, all = chosen()
local small = arg[1] == "small" and #words(os.getenv "CASES") == 0 and not tally.full
if small then -- of the boards of one instruction set, one
  local by_isa, some = {}, {}
  for _, entry in ipairs(listed) do
    local isa = entry.board.isa.name
    if not by_isa[isa] then
      by_isa[isa] = {}
      some[#some + 1] = by_isa[isa]
    end
    table.insert(by_isa[isa], entry)
  end
  for i, entries in ipairs(some) do some[i] = tally.chosen(entries, entries[1].board.isa.name) end
  listed = some
end
local left_out = {}
for i, entry in ipairs(listed) do
  local name, board = entry.name, entry.board
  local why = obstacle(board)
  io.stdout:write(("== %s, %d of %d: %s\n"):format(name, i, #listed, why and "not checked, " .. why or board.emulator
    and "under " .. table.concat(board.emulator, " ", 1, math.min(3, #board.emulator)) or "here"))
  io.stdout:flush()
  if why then
    tally.skip(name, why)
    left_out[#left_out + 1] = ("%s (%s)"):format(name, why)
  end
  for _, one in ipairs(why and {} or small and { tally.chosen(all, name) } or all) do
    local title, start = ("%s on %s"):format(one.name, name), sys.monotonic_ns()
    local ok, found, problem = pcall(attempt, one, name, board)
    if ok and not found and arg[1] ~= "small" then tally.skip(title, problem)
    else
      tally.test(title, function()
        if not ok then error(found, 0) end
        assert(found, problem)
        local known = cases.known_to(board.arithmetic, one.name)
        assert(found == known, ("digest %s, that of %s is %s"):format(found, board.arithmetic, known))
        return ("%.0f s"):format((sys.monotonic_ns() - start) / 1e9)
      end)
    end
  end
end
if #left_out > 0 then io.stdout:write("not checked: ", table.concat(left_out, "; "), "\n") end
return tally.finish()

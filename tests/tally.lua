-- SPDX-License-Identifier: Apache-2.0
-- For test drivers: a line a test, a count at the end, and the paths and commands that all drivers need.
local sys = require "msagen.sys"
local tier = require "tier"

local M = { full = tier.full, quick = tier.quick, chosen = tier.chosen }
local passed, failed, skipped = 0, 0, 0

--- The tests' folder, the source tree, the program under test, and a folder for what a driver writes.
M.tests = sys.realpath(arg[0]:match "^(.*)/[^/]*$" or ".")
M.source = M.tests:match "^(.*)/"
M.program = sys.realpath(os.getenv "MSAGEN" or M.source .. "/gen/msagen")
M.demo = M.source .. "/demo/fetal-head"
M.head = M.demo .. "/checkpoint.safetensors"
M.volume = M.source .. "/demo/hippocampus/checkpoint.safetensors"

--- A fresh folder for driver `name`, under $CHECK_WORK or the system's temporary folder; removed at the end.
function M.folder(name)
  local base = os.getenv "CHECK_WORK" or os.getenv "TMPDIR" or "/tmp"
  local path = sys.mkdtemp(base, name .. "-")
  sys.cleanup(path)
  return path
end

local function say(...)
  io.stdout:write(string.format(...), "\n")
  io.stdout:flush()
end

--- Run `body`; an error in it is the test's failure. Returns what body returns, or nothing.
function M.test(name, body, ...)
  local start = tier.processor()
  local ok, result = xpcall(body, function(e)
    if type(e) == "table" and e.msagen then return e.msagen end
    return tostring(e) .. (os.getenv "MSAGEN_TRACE" and debug.traceback("", 2) or "")
  end, ...)
  local seconds = tier.processor() - start
  if ok then
    passed = passed + 1
    say("ok %s%s%s", name, type(result) == "string" and "  " .. result or "", seconds > 1
      and ("  %.0f s"):format(seconds) or "")
    return result
  end
  failed = failed + 1
  say("FAILED %s: %s", name, result)
end

--- A test of the full tier alone: what it proves is proved of fewer, or in part, by others below it.
function M.deep(name, body, ...)
  if M.full then return M.test(name, body, ...) end
end

function M.skip(name, why)
  skipped = skipped + 1
  say("skipped %s: %s", name, why)
end

--- The last line; returns the exit status.
function M.finish()
  say("%d passed, %d failed%s", passed, failed, skipped > 0 and (", %d skipped"):format(skipped) or "")
  return failed == 0 and 0 or 1
end

--- Path of a compiler itself: the check's own scripts stand before it in PATH.
function M.compiler(name)
  for folder in os.getenv "PATH":gmatch "[^:]+" do
    local path = folder .. "/" .. name
    local file <close> = io.open(path)
    if file and file:read(2) ~= "#!" then return path end
  end
  error(name .. ": there is none in PATH", 0)
end

--- Run a command that must succeed; returns its output. Its last line becomes the error otherwise.
function M.must(command)
  command.stdin = command.stdin or "/dev/null"
  command.stdout = command.stdout or "capture"
  command.stderr = command.stderr or "capture"
  local status, output = sys.spawn(command)
  if status ~= 0 then
    local last = (output or ""):gsub("%s+$", ""):match "[^\n]*$"
    error(("%s: exit %d: %s"):format(table.concat(command, " ", 1, math.min(#command, 3)), status, last), 0)
  end
  return output
end

--- Those of a list of boards whose kernels no other one's are, the default among them: they have another instruction
-- set or class, or other `more`. @param list of { name =, board =, missing = } @param more function(board), or nil
function M.distinct(list, more)
  local found, place = {}, {}
  for _, one in ipairs(list) do
    local key = ("%s %s %s"):format(one.board.isa.name, one.board.arithmetic, more and more(one.board))
    if one.missing or not place[key] then
      found[#found + 1] = one
      place[key] = place[key] or #found
    elseif one.name == M.best then found[place[key]] = one end
  end
  return found
end

--- Every board whose code could run as it is on a machine of this kind, M.every: {name=, board=, arithmetic=, plain=no
-- vectors, missing=what this CPU lacks}; M.boards, of these below the full tier those whose kernels in float32 differ.
-- M.best is the default, and the only one where
-- CHECK_BOARDS is best: in what the check runs again. M.class: name -> its class of arithmetic.
-- M.emulated: those that have an emulator, whether this CPU runs them too or not: {name=, board=, native=, missing=what
-- is not installed}.
local boards = require "target.boards"
local features = sys.cpu_features()
M.every, M.emulated, M.best, M.class = {}, {}, boards.best().name, {}
for _, board in ipairs(boards.all()) do
  local missing
  M.class[board.name] = board.arithmetic
  local native = boards.native(board)
  if board.hosted and board.emulator then
    for _, program in ipairs { board.emulator[1], board.compiler } do
      if not pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null",
        stderr = "/dev/null" }) then
        missing = missing or "there is no " .. program
      end
    end
    if not missing and not boards.compiles(board) then
      missing = ("%s does not take %s"):format(board.compiler, table.concat(board.flags, " "))
    end
    M.emulated[#M.emulated + 1] = { name = board.name, board = board, native = native, missing = missing }
  end
  if board.hosted and (native or not board.emulator)
    and (os.getenv "CHECK_BOARDS" ~= "best" or board.name == M.best) then
    missing = nil
    for _, feature in ipairs(board.requires) do
      if not features[feature] then missing = "this CPU has no " .. feature end
    end
    M.every[#M.every + 1] = { name = board.name, board = board, arithmetic = board.arithmetic,
      plain = board.isa.width == 1, missing = missing }
  end
end

M.boards = M.full and M.every or M.distinct(M.every)

return M

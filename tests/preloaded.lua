-- SPDX-License-Identifier: Apache-2.0
-- Commands run with one of their calls going wrong (preload.c), and what a folder holds before and after.
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"
local tally = require "tally"

local preloaded = {}

local STATE_BYTES, WALL_S = 65536, 120
local work, library

--- Compile the library into a driver's folder. @return the folder for temporary files of the commands
function preloaded.open(folder)
  work, library = folder, folder .. "/preload.so"
  tally.must { "gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
    tally.tests .. "/preload.c" }
  sys.mkdir_p(work .. "/tmp")
  preloaded.temporary = work .. "/tmp"
  return preloaded.temporary
end

--- Run a command. @param how "MODE CALL" as preload.c has them
-- @return { status, out, err: what it wrote, struck: the call came, calls: how many there were, synced and log: text }
function preloaded.run(command, how)
  local state = work .. "/state"
  for _, ending in ipairs { ".calls", ".synced" } do os.remove(state .. ending) end
  sys.write_file(state, ("\0"):rep(STATE_BYTES), true)
  local one = { stdin = "/dev/null", stdout = work .. "/stdout", stderr = work .. "/stderr", cwd = command.cwd,
    env = { PRELOAD = how, PRELOAD_STATE = state, LD_PRELOAD = library, TMPDIR = work .. "/tmp", MAKEFLAGS = false,
      MFLAGS = false, MAKELEVEL = false }, limits = { wall_s = WALL_S }, table.unpack(command) }
  local status = sys.spawn(one)
  local calls, allocations, struck = ("<i8i8i8"):unpack(sys.read_file(state))
  local function text(ending) return sys.exists(state .. ending) and sys.read_file(state .. ending) or "" end
  return { status = status, out = sys.read_file(work .. "/stdout"), err = sys.read_file(work .. "/stderr"),
    calls = calls, allocations = allocations, struck = struck == 1, log = text ".calls", synced = text ".synced" }
end

--- Names of calls that change a file or a folder.
preloaded.changes = { open_creat = true, openat_creat = true, fopen_creat = true, mkdtemp = true, mkdir = true,
  write = true, pwrite = true, fwrite = true, ftruncate = true, fsync = true, rename = true, renameat = true,
  renameat2 = true, unlink = true, unlinkat = true, rmdir = true, remove = true, chmod = true }

--- The calls of a command in their order: { number =, of_all = its number among all processes, name =, detail =,
-- allocation = true, other = true: not msagen's, module = true: of the loading of a file of msagen's Lua }. One without
-- a name is of a process that cannot write.
function preloaded.calls(command)
  local list, done, named, module = {}, preloaded.run(command, "count 0"), {}, false
  assert(done.status == 0, done.err)
  for kind, number, all, name, detail in done.log:gmatch "(a?)(%d+) (%d+) (%S+) ([^\n]*)\n" do
    local call = { number = math.tointeger(number), of_all = math.tointeger(all), name = name, detail = detail,
      allocation = kind == "a", other = number == "0" }
    list[#list + 1] = call
    if not call.allocation and not call.other then
      named[call.number] = true
      if name == "fopen" then module = detail:match "%.lua$" ~= nil end
      call.module = module
      if name == "fclose" then module = false end
    end
  end
  for n = 1, done.calls do
    if not named[n] then list[#list + 1] = { number = n, name = "?", detail = "" } end
  end
  return list, done
end

--- { [path below folder] = SHA-256 of the file, "folder", or "-> TARGET" }.
function preloaded.snapshot(folder)
  local all = {}
  local function add(path, name)
    local link = sys.readlink(path)
    if link then all[name] = "-> " .. link
    elseif sys.isdir(path) then
      all[name] = "folder"
      for _, one in ipairs(sys.list(path)) do add(path .. "/" .. one, name .. "/" .. one) end
    else all[name] = sha256.hex(sys.read_file(path)) end
  end
  if sys.exists(folder) then add(folder, ".") end
  return all
end

--- The first path, in order, in which two snapshots differ; nil where they are the same.
function preloaded.difference(a, b)
  local found
  for _, pair in ipairs { { a, b }, { b, a } } do
    for path, what in pairs(pair[1]) do
      if pair[2][path] ~= what and (not found or path < found) then found = path end
    end
  end
  return found
end

--- An error's text.
function preloaded.words(message)
  return type(message) == "table" and message.msagen or tostring(message)
end

--- What went wrong in some of `count` trials, the first of them in words.
function preloaded.said(wrong, count)
  return ("%d of %d: %s"):format(#wrong, count, table.concat(wrong, "\n  ", 1, math.min(#wrong, 40)))
end

--- Names in a snapshot that msagen gives to what is temporary.
function preloaded.leftover(all)
  for path in pairs(all) do
    if path:match "/%.?msagen%-" or path:match "%.%d+%.[^/]*$" then return path end
  end
end

return preloaded

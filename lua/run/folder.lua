-- SPDX-License-Identifier: Apache-2.0
--- A generated folder: recognised by its manifest, compiled where it must be, its runner called.
local fail = require "support.fail"
local made = require "run.made"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"
local terminal = require "support.terminal"

local folder = {}
folder.__index = folder

local OTHER_VERSION = "%s: expected a folder that this version of msagen built, found another's: build it again"

--- The manifest of a folder that `msagen build` wrote, of whatever kind. Its fields are not checked.
-- @return the manifest, and its text
function folder.read(path)
  if not sys.isdir(path) then
    fail("%s: expected a folder that msagen build wrote, found %s", path, sys.exists(path) and "a file" or "nothing")
  end
  local file = path .. "/manifest.json"
  if not sys.exists(file) then
    fail("%s: expected a folder that msagen build wrote, found no manifest.json in it", path)
  end
  local text = sys.read_file(file)
  local manifest = require("msagen.json").decode(text, file)
  if type(manifest) ~= "table" or manifest.generator ~= "msagen" then
    fail("%s: expected a manifest of msagen's, found another file", file)
  end
  if manifest.unfinished then fail("%s: msagen was stopped while it wrote this folder: build it again", path) end
  return manifest, text
end

-- Where this CPU has what the board asks for, its programs run here as they are.
local function is_native(manifest)
  return require("target.boards").native { hosted = manifest.hosted ~= false,
    requires = type(manifest.requires) == "table" and manifest.requires or {} }
end

--- Open a folder of a training step that this msagen wrote, for what reads or compiles its files.
-- @return the folder: its manifest's fields, `path`, and whether this CPU runs it: `native`
function folder.training(path)
  local manifest = folder.read(path)
  if manifest.kind ~= "training" then
    fail("%s: expected a folder of a training step, found one of %s", path, manifest.kind or "a network that segments")
  end
  manifest.path, manifest.native = path, is_native(manifest)
  return setmetatable(manifest, folder)
end

--- Open a folder that `msagen build` wrote.
-- @param fronts whether it may be a front end's alone
-- @return the folder: its manifest's fields, and `path`
function folder.open(path, fronts)
  local manifest, text = folder.read(path)
  if manifest.kind == "training" then
    fail("%s: expected a folder of a network that segments, found one of a training step, which a product links", path)
  end
  if manifest.kind == "front end" and not fronts then
    fail("%s: expected a folder of a network that segments, found one of a front end, which takes samples alone", path)
  end
  require "run.manifest".check(manifest, path .. "/manifest.json")
  if not manifest.runner:find("/", 1, true) then fail(OTHER_VERSION, path) end -- it lay among the product's files once
  for _, name in ipairs { "banks", "texts" } do
    manifest[name] = manifest[name] or {}
  end
  manifest.native = is_native(manifest)
  if type(manifest.emulator) ~= "table" or manifest.native then manifest.emulator = nil end
  manifest.path, manifest.changed = path, require("emit.manifest_seal").broken(text)
  return setmetatable(manifest, folder)
end

--- A file of the folder as a path that also a shell would take for one.
function folder:file(name)
  return self.path .. "/" .. name
end

--- Whether the runner or an object is missing or older than what it is made from.
function folder:stale()
  local headers, script = 0, 0
  local function date(name) return sys.mtime_ns(self:file(name)) end
  for _, name in ipairs(made.sources(self)) do
    if name:match "%.h$" or name == "Makefile" then headers = math.max(headers, date(name) or 0) end
    if name:match "%.ld$" then script = math.max(script, date(name) or 0) end
  end
  local runner = date(self.runner)
  if not runner or runner < script then return true end
  for _, product in ipairs(made.products(self)) do
    local stem = product:match "^(.*)%.o$"
    if stem then
      local object, source = date(product), date(stem .. ".c") or date(self.weights)
      if not object or object < headers or object < (source or 0) or runner < object then return true end
    end
  end
  return false
end

-- What the system says of a disk that takes no more, by make, compiler, archiver, linker or runner.
local NO_ROOM = { "No space left on device", "Disk quota exceeded", "File too large" }

local function out_of_room(output)
  for line in output:gmatch "[^\n]+" do
    for _, words in ipairs(NO_ROOM) do
      if line:find(words, 1, true) then return line end
    end
  end
end

-- The folder, or the temporary one where that has less room, for a message.
local function fuller(path)
  local temporary = os.getenv "TMPDIR" or "/tmp"
  local here, there = sys.free_bytes(path), sys.free_bytes(temporary)
  if there and here and there < here then path, here = temporary, there end
  return ("%s (%.1f MiB free)"):format(path, (here or 0) / 1048576)
end

-- Of a compiler's output, the line that says most.
local function telling_line(output)
  for _, pattern in ipairs { ": fatal error: ", ":%d+: error: ", "undefined reference", "multiple definition",
    "overflowed by", "Permission denied", "Read%-only file system",
      ": No such file or directory", ": not found", "[Kk]illed", "error", "." } do
    for line in output:gmatch "[^\n]+" do
      if line:find(pattern) then return line end
    end
  end
  return "no output"
end

-- Have make do what is left to do.
local function make(self)
  local shown = sys.isatty(2)
  if shown then io.stderr:write("compiling ", self.path, " ...") end
  local command = { "make", "-C", self.path, "-j", tostring(sys.nproc()), stdin = "/dev/null", stdout = "capture",
    stderr = "capture",
    -- A make that msagen itself runs under must not pass on its own variables.
    env = { MAKEFLAGS = false, MFLAGS = false, GNUMAKEFLAGS = false, MAKELEVEL = false, LC_ALL = "C" } }
  -- What a compiler that is killed leaves goes with a folder of ours.
  local scratch_made, scratch = pcall(sys.mkdtemp, os.getenv "TMPDIR" or "/tmp", "msagen-make-")
  command.env.TMPDIR = scratch_made and scratch or nil
  local ok, status, output = pcall(sys.spawn, command)
  if scratch_made then
    sys.remove_tree(scratch)
    sys.keep(scratch)
  end
  if shown then io.stderr:write "\r\27[K" end
  if not ok then error(status, 0) end
  if status == 0 then return end
  local room = out_of_room(output)
  if room then
    fail("%s: make: no room on the disk of %s: make room, and run this again: %s", self.path, fuller(self.path), room)
  end
  fail("%s: make: expected the folder to compile, found exit status %d: %s", self.path, status, telling_line(output))
end

local CHANGED = ": not what msagen wrote, and used all the same"

--- Refuse a folder whose manifest is not what msagen wrote.
-- @param modified it may be
function folder:refuse_changed(modified)
  if not self.changed or modified then return end
  fail("%s: expected what msagen wrote, found other values: build the folder again, or run it as it is with --modified",
    self:file "manifest.json")
end

-- The hashes of the folder's files, which must be those that msagen wrote, or be said to be others.
local function verified(self, modified)
  local hashes, changed = made.hashes(self)
  local first = changed[1]
  self:refuse_changed(modified)
  if not first then return hashes, self.changed and self:file "manifest.json" .. CHANGED or nil end
  local others = #changed > 1 and (" (and %d more)"):format(#changed - 1) or ""
  local found = hashes[first] and "other bytes" or "no such file"
  if not modified or not hashes[first] then
    fail("%s%s: expected what msagen wrote, of SHA-256 %s, found %s: build the folder again%s", self:file(first),
      others, self.files[first], found,
      hashes[first] and ", or run it as it is with --modified" or "")
  end
  return hashes, self:file(first) .. others .. CHANGED
end

-- Whether the runner can be used as it is. @return true; or false, and whether objects may be used again
local function current(self, hashes, modified)
  local state, name = made.state(self, hashes)
  if state == "foreign" then
    terminal.say("warning", self:file(name) .. ": it changed since it was compiled: the folder is compiled again")
    return false, false
  end
  if self:stale() then return false, state ~= "absent" end
  if state == "absent" then
    if not modified and not made.is_ours(self) then
      terminal.say("warning", self:file(self.runner) .. ": it was compiled from another build: the folder is compiled "
        .. "again")
      return false, false
    end
    made.note(self, hashes)
  end
  return true
end

-- Keep other runs from compiling the folder at the same time, where its file system has locks. @return what sys.unlock
-- takes, or nil
local function locked(self)
  local lock = sys.lock(self.path, false)
  if lock ~= false then return lock end
  local shown = sys.isatty(2)
  if shown then io.stderr:write("waiting for another msagen at ", self.path, " ...") end
  lock = sys.lock(self.path, true)
  if shown then io.stderr:write "\r\27[K" end
  return lock
end

-- Refuse what nothing here can run.
local function runnable(self)
  if self.native or type(self.emulator) == "table" then return end
  local lost = type(self.emulator_lost) == "string" and (", which is %s"):format(self.emulator_lost) or ""
  fail("%s: expected a board with an emulator%s, found %s%s", self.path, self.hosted == false and ""
    or ", or one of this CPU", tostring(self.board), lost)
end

--- Call make if something is stale or unknown, and never otherwise. What the folder holds must be what msagen wrote.
-- @param modified it may be something else, and a line says so
function folder:compile(modified)
  runnable(self)
  local hashes, warning = verified(self, modified)
  if warning then terminal.say("warning", warning) end
  local manifest = sys.read_file(self:file "manifest.json")
  if current(self, hashes, modified) then return end
  local lock = locked(self)
  local ok, message = pcall(function()
    if sys.read_file(self:file "manifest.json") ~= manifest then
      fail("%s: built anew while this waited for it: run this again", self.path)
    end
    hashes = verified(self, modified)
    local done, known = current(self, hashes, modified)
    if done then return end
    made.sweep(self)
    if not known then made.remove(self) end
    for _, name in ipairs(made.products(self)) do -- make would wait for a pipe
      if sys.exists(self:file(name)) and not sha256.file(self:file(name)) then sys.remove_tree(self:file(name)) end
    end
    make(self)
    if not sys.exists(self:file(self.runner)) then
      fail("%s: make: expected it to make %s, found none", self.path, self.runner)
    end
    for name, hash in pairs((made.hashes(self))) do
      if hash ~= hashes[name] then fail("%s: it changed while it was compiled: run this again", self:file(name)) end
    end
    made.note(self, hashes)
  end)
  if lock then sys.unlock(lock) end
  if not ok then error(message, 0) end
end

local SIGNALS = { [132] = "this CPU lacks an instruction of the board's", [134] = "it aborted",
  [135] = "a file that it reads became shorter, or its disk failed",
  [136] = "a floating-point exception", [137] = "killed", [153] = "a file would become larger than is allowed",
    [139] = "a memory access outside its own" }

-- What the runner or its emulator said last, or what says most: no line of progress.
local function own_words(output)
  local lines = {}
  for line in (output or ""):gmatch "[^\r\n]+" do
    line = line:gsub("\27%[%a", "")
    if line:find "%S" and not line:match "^layer %d" and not line:match "^slice %d" then lines[#lines + 1] = line end
  end
  for _, pattern in ipairs { "^qemu[%w-]*: fatal", "^qemu[%w-]*: ", "fatal", "[Ee]rror", "cannot be" } do
    for _, line in ipairs(lines) do
      if line:find(pattern) then return line end
    end
  end
  return lines[#lines]
end

-- Words of a command as a semihosting option's "arg=": blanks would part them on the other side, commas end an option.
local function semihosted(words)
  local coded = {}
  for i, word in ipairs(words) do
    coded[i] = ",arg=" .. word:gsub("[%%%c ]", function(c) return ("%%%02X"):format(c:byte()) end):gsub(",", ",,")
  end
  return table.concat(coded)
end

--- A program's words (itself, arguments) as this machine runs them: under the emulator, whose {program} and {arguments}
-- say where they go, else at its end.
function folder:command(words)
  if type(self.emulator) ~= "table" then return words end
  local command, placed = {}, false
  for i, word in ipairs(self.emulator) do
    command[i] = word:gsub("{(%l+)}", function(what)
      placed = true
      return what == "program" and words[1] or what == "arguments" and semihosted(words) or nil
    end)
  end
  return placed and command or table.move(words, 1, #words, #command + 1, command)
end

-- The runner knows the weights' segments by number; the manifest has their names.
function folder:name_segment(text)
  return (text:gsub("^(%S+: )segment (%d+):", function(file, i)
    local segment = type(self.segments) == "table" and self.segments[tonumber(i) + 1]
    local name = type(segment) == "table" and segment.name
    return type(name) == "string" and ("%s%s:"):format(file, name) or nil
  end, 1))
end

--- Have the runner (under the board's emulator) perform a request.
-- @param request path  @param response path to write
-- @param renamed function(text) that gives temporary files their names
-- @return the response's lines
function folder:perform(request, response, renamed)
  sys.read_start(self:file(self.weights), 0) -- or the runner would wait for a pipe
  local command = self:command { self:file(self.runner), request, response, self:file(self.weights) }
  command.stdin = "/dev/null"
  command.stdout, command.stderr = "capture", sys.isatty(2) and "show" or "capture"
  local started, status, output = pcall(sys.spawn, command)
  if not started and self.emulator then
    fail("%s: expected the emulator of %s, found no %s that can be started", self.path, tostring(self.board),
      command[1])
  end
  if not started and tostring(type(status) == "table" and status.msagen or status):find "Exec format error" then
    fail("%s: expected a board with an emulator, or one of this CPU, found %s", self.path, tostring(self.board))
  end
  if not started then error(status, 0) end
  local text = sys.exists(response) and sys.read_file(response) or ""
  local refused = text:match "\nerror ([^\n]*)" or text:match "^error ([^\n]*)"
  if refused == "request: of another version" then fail(OTHER_VERSION, self.path) end
  if refused and self.hosted == false and refused:find "bytes of memory: not to be had" then
    fail("%s: expected room beside the arena for the test bench, which has the image: %s", self.path, refused)
  end
  if refused then fail("%s: %s", self.path, renamed(self:name_segment(refused))) end
  if status ~= 0 then
    local why, words, room = SIGNALS[status], own_words(output), out_of_room(output)
    if room then fail("%s: no room on the disk: make room, and run this again: %s", self.path, renamed(room)) end
    if words and type(self.emulator) == "table" then words = ("%s says: %s"):format(command[1], words) end
    why = why and words and why .. ": " .. words or why or words or "no reason given"
    fail("%s: %s: expected an answer, found exit status %d: %s", self.path, self.runner, status, renamed(why))
  end
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

return folder

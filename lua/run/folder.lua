-- SPDX-License-Identifier: Apache-2.0
--- A generated folder: recognised by its manifest, compiled where it must be, its runner called.
local fail = require "fail"
local sys = require "msagen.sys"

local folder = {}
folder.__index = folder

-- What `run` reads from the manifest.
local FIELDS = { runner = "string", weights = "string", input_size = "integer", depth = "integer", grid = "integer", max_points = "integer",
  arena_bytes = "integer", weights_bytes = "integer", macs_encode = "integer", macs_decode = "integer" }

--- Open a folder that `msagen build` wrote.
-- @return the folder: its manifest's fields, and `path`
function folder.open(path)
  if not sys.isdir(path) then fail("%s: expected a folder that msagen build wrote, found %s", path, sys.exists(path) and "a file" or "nothing") end
  local file = path .. "/manifest.json"
  if not sys.exists(file) then fail("%s: expected a folder that msagen build wrote, found no manifest.json in it", path) end
  local manifest = require("msagen.json").decode(sys.read_file(file), file)
  if type(manifest) ~= "table" or manifest.generator ~= "msagen" then fail("%s: expected a manifest of msagen's, found another file", file) end
  local names = {}
  for name in pairs(FIELDS) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value, kind = manifest[name], FIELDS[name]
    local found = math.type(value) or type(value)
    if found ~= kind or kind == "integer" and value < 1 then fail("%s: %s: expected %s, found %s", file, name, kind == "integer" and "a number above 0" or "a text", found == kind and value or found) end
    if kind == "string" and value:find("/", 1, true) then fail("%s: %s: expected a file of the folder, found %s", file, name, value) end
  end
  for _, name in ipairs { "banks", "texts" } do
    if type(manifest[name]) ~= "table" then manifest[name] = {} end
  end
  -- Where this CPU has what the board asks for, its programs run here as they are.
  if type(manifest.emulator) ~= "table" or require("boards").native { hosted = manifest.hosted ~= false, requires = type(manifest.requires) == "table" and manifest.requires or {} } then
    manifest.emulator = nil
  end
  manifest.path = path
  return setmetatable(manifest, folder)
end

--- A file of the folder as a path that also a shell would take for one.
function folder:file(name)
  return self.path .. "/" .. name
end

--- Whether the runner or an object is missing or older than what it is made from.
function folder:stale()
  local names, headers, script = sys.list(self.path), 0, 0
  for _, name in ipairs(names) do
    if name:match "%.h$" or name == "Makefile" then headers = math.max(headers, sys.mtime_ns(self:file(name)) or 0) end
    if name:match "%.ld$" then script = math.max(script, sys.mtime_ns(self:file(name)) or 0) end
  end
  local runner = sys.mtime_ns(self:file(self.runner))
  if not runner or runner < script then return true end
  for _, name in ipairs(names) do
    local stem = name:match "^(.*)%.c$"
    if stem then
      local object = sys.mtime_ns(self:file(stem .. ".o"))
      if not object or object < headers or object < (sys.mtime_ns(self:file(name)) or 0) or runner < object then return true end
    end
  end
  return false
end

-- Of a compiler's output, the line that says most.
local function telling_line(output)
  for _, pattern in ipairs { ": fatal error: ", ":%d+: error: ", "undefined reference", "multiple definition", "overflowed by", ": No such file or directory", ": not found", "error", "." } do
    for line in output:gmatch "[^\n]+" do
      if line:find(pattern) then return line end
    end
  end
  return "no output"
end

--- Call make if something is stale, and never otherwise.
function folder:compile()
  if not self:stale() then return end
  local terminal = sys.isatty(2)
  if terminal then io.stderr:write("compiling ", self.path, " ...") end
  local command = { "make", "-C", self.path, "-j", tostring(sys.nproc()), stdin = "/dev/null", stdout = "capture", stderr = "capture",
    -- A make that msagen itself runs under must not pass on its own variables.
    env = { MAKEFLAGS = false, MFLAGS = false, GNUMAKEFLAGS = false, MAKELEVEL = false, LC_ALL = "C" } }
  local ok, status, output = pcall(sys.spawn, command)
  if terminal then io.stderr:write "\r\27[K" end
  if not ok then error(status, 0) end
  if status ~= 0 then fail("%s: make: expected the folder to compile, found exit status %d: %s", self.path, status, telling_line(output)) end
  if not sys.exists(self:file(self.runner)) then fail("%s: make: expected it to make %s, found none", self.path, self.runner) end
end

local SIGNALS = { [132] = "this CPU lacks an instruction of the board's", [134] = "it aborted", [136] = "a floating-point exception",
  [137] = "killed", [153] = "a file would become larger than is allowed", [139] = "a memory access outside its own" }

-- Words of a command as a semihosting option's "arg=": blanks would part them on the other side, commas end an option.
local function semihosted(words)
  local coded = {}
  for i, word in ipairs(words) do
    coded[i] = ",arg=" .. word:gsub("[%%%c ]", function(c) return ("%%%02X"):format(c:byte()) end):gsub(",", ",,")
  end
  return table.concat(coded)
end

--- A program's words (itself, arguments) as this machine runs them: under the emulator, whose {program} and {arguments} say where they go, else at its end.
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

--- Have the runner (under the board's emulator) perform a request.
-- @param request path  @param response path to write  @param renamed function(text) that gives temporary files their names
-- @return the response's lines
function folder:perform(request, response, renamed)
  if self.hosted == false and type(self.emulator) ~= "table" then fail("%s: expected a board with an emulator, found %s", self.path, tostring(self.board)) end
  local command = self:command { self:file(self.runner), request, response, self:file(self.weights) }
  command.stdin = "/dev/null"
  if not sys.isatty(2) then command.stdout, command.stderr = "capture", "capture" end
  local started, status, output = pcall(sys.spawn, command)
  if not started and self.emulator then fail("%s: expected the emulator of %s, found no %s that can be started", self.path, tostring(self.board), command[1]) end
  if not started and tostring(type(status) == "table" and status.msagen or status):find "Exec format error" then fail("%s: expected a board with an emulator, or one of this CPU, found %s", self.path, tostring(self.board)) end
  if not started then error(status, 0) end
  local text = sys.exists(response) and sys.read_file(response) or ""
  local refused = text:match "\nerror ([^\n]*)" or text:match "^error ([^\n]*)"
  if refused == "request: of another version" then fail("%s: expected a folder that this version of msagen built, found another's: build it again", self.path) end
  if refused and self.hosted == false and refused:find "bytes of memory: not to be had" then
    fail("%s: expected room beside the arena for the test bench, which has the image: %s", self.path, refused)
  end
  if refused then fail("%s: %s", self.path, renamed(refused)) end
  if status ~= 0 then
    local why = SIGNALS[status] or output and output:match "([^\n]+)\n*$" or "no reason given"
    fail("%s: %s: expected an answer, found exit status %d: %s", self.path, self.runner, status, why)
  end
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

return folder

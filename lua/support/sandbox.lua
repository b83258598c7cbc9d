-- SPDX-License-Identifier: Apache-2.0
--- Files of the user's, or of a stranger's, that are Lua: boards, instruction sets, linker scripts, build scripts. Each
-- runs in a process and a Lua state of its own (gen/bindings/sandbox.h), sees copies of plain data and the names of
-- Lua that it is given, and returns plain data.
local fail = require "support.fail"
local core = require "msagen.sandbox"
local sys = require "msagen.sys"

local sandbox = {}

--- What a file may take: processor time, and bytes of its text, of Lua's memory and of the result.
sandbox.limits = { milliseconds = 1000, text = 16 << 20, memory = 256 << 20, result = 16 << 20 }

-- Our own texts that go along.
local sources = {}
local function source(name)
  sources[name] = sources[name] or sys.read_file(("%s/lua/%s.lua"):format(msagen.datadir, name))
  return sources[name]
end

-- A message of the other side, "\2" being the file, in one line of at most so many bytes.
local function told(path, message, unknown)
  local line, name = message:match "^\2:(%d+): \3(.*)$"
  if name then fail("%s:%s: %s", path, line, unknown((name:sub(1, 100):gsub("%c", " ")))) end
  if message == "not enough memory" then return nil end
  if not message:find "^\2:%d+: " then message = "\2: " .. message end
  fail("%s", (message:sub(1, 1000):gsub("\2", (path:gsub("%%", "%%%%"))):gsub("%c", " ")))
end

--- Run a file. What goes wrong in it is said in one line that names file and line.
-- @param asked { names = those of Lua's globals and libraries that it sees, data = plain data by name, unknown =
-- function(name) -> what is wrong with a name that it does not see, template = true where the file is a template,
-- script = true for what build scripts have beside it }
-- @return what it returns, a copy; of a template its text
function sandbox.run(path, asked)
  local limits = sandbox.limits
  local text = sys.read_file(path, limits.text)
  local argument = { text = text, names = asked.names or {}, data = asked.data or {}, script = asked.script,
    template = asked.template and source "support/template" }
  local how, result, line = core.run { driver = source "support/sandboxed", argument = argument,
    milliseconds = limits.milliseconds, bytes = limits.memory, result_bytes = limits.result }
  local where = line and line > 0 and ("%s:%d"):format(path, line) or path
  if how == "returned" then
    if result.printed ~= "" then io.stderr:write((result.printed:gsub("[^%C\n\t]", " "))) end
    if result.ok then return result.value end
    told(path, result.value, asked.unknown)
    how, where = "memory", path
  end
  if how == "time" then
    fail("%s: expected it to end within %g s of processor time, found it still running", where,
      limits.milliseconds / 1000)
  end
  if how == "memory" then
    fail("%s: expected it to take at most %d MiB, found it taking more", where, limits.memory >> 20)
  end
  if how == "refused" then fail("%s: %s", path, (result:gsub("^value%.?", "", 1):gsub("^: ", ""))) end
  fail("%s: %s", where, result)
end

--- A copy of a value that a program of the user's own returned, which must be plain data. @return it, or nil and what
-- is none
function sandbox.copy(value) return core.copy(value) end

return sandbox

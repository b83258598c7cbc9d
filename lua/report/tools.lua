-- SPDX-License-Identifier: Apache-2.0
--- Programs that reports start, and what a generated Makefile says of them.
local fail = require "support.fail"
local sys = require "msagen.sys"

local tools = {}

function tools.lines(text) return text:gmatch "[^\n]+" end

function tools.words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

function tools.joined(...)
  local list = {}
  for _, part in ipairs { ... } do table.move(part, 1, #part, #list + 1, list) end
  return list
end

--- Run a tool. @param what to say where there is none  @return what it printed, and its exit status
function tools.output(command, what)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  -- A make that msagen itself runs under must not pass on its own variables.
  local env = { MAKEFLAGS = false, MFLAGS = false, GNUMAKEFLAGS = false, MAKELEVEL = false, LC_ALL = "C" }
  for name, value in pairs(command.env or {}) do env[name] = value end
  command.env = env
  local ok, status, text = pcall(sys.spawn, command)
  if not ok then fail("%s: expected %s, found none that can be started", command[1], what) end
  return text, status
end

--- The same of one that must succeed. @param where the folder, for the message  @return what it printed
function tools.must(command, what, where)
  local text, status = tools.output(command, what)
  if status ~= 0 then
    fail("%s: %s: expected it to succeed, found exit status %d: %s", where, command[1], status,
      text:match "[^\n]*[Ee]rror: [^\n]*" or text:match "[^\n]+" or "no output")
  end
  return text
end

--- What makes a compiler note lines so that binutils' addr2line reads all: of clang's DWARF 5 it misses what is inline.
tools.LINES = "-gdwarf-4"

tools.COMPILER = "the board's compiler, or --cc with another"

-- What a compiler is called by its command; clang is also where it goes by gcc's or cc's name.
local function compiler_name(cc)
  local name = cc:match "^%S*/(%S+)" or cc:match "^%S+"
  local said = tools.output(tools.joined(tools.words(cc), { "--version" }), tools.COMPILER):match "^[^\n]*"
  return said:find "%f[%w]clang%f[%W]" and not name:find("clang", 1, true) and "clang called " .. name or name
end

--- A compiler's name and version. @param cc how it is called, with what comes before flags
function tools.version(cc)
  for _, flag in ipairs { "-dumpfullversion", "-dumpversion" } do -- the second is clang's
    local text, status = tools.output(tools.joined(tools.words(cc), { flag }), tools.COMPILER)
    local number = status == 0 and text:match "^%s*([%d.]+)%s*$"
    if number then return compiler_name(cc), number end
  end
  fail("%s: expected gcc or clang, found a compiler that does not tell its version", cc)
end

--- The version that another tool tells, or nil.
function tools.told(program)
  return tools.output({ program, "--version" }, program):match "%f[%w]%d+%.[%d.]*%d"
end

--- A Makefile's value of a variable.
function tools.variable(path, name)
  local text = ("\n" .. sys.read_file(path)):gsub("%s*\\\n%s*", " ") -- a line may go on behind a backslash
  local value = text:match("\n" .. name .. " = ([^\n]*)")
  if not value then fail("%s: expected a line %s = ..., found none", path, name) end
  return value
end

return tools

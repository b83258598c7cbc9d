-- SPDX-License-Identifier: Apache-2.0
--- clang-tidy's checks `cert-*` and `bugprone-*` of the library of a generated folder, held against the records of
-- lua/report/tidy.lua. Which checks there are and what they find depends on the version: it is clang-tidy 14.
local fail = require "support.fail"
local library = require "report.library"
local static_misra = require "report.static_misra"
local tools = require "report.tools"

local static_tidy = {}

static_tidy.PROGRAM = "clang-tidy-14"
local WHAT = "clang-tidy 14 (Debian: apt-get install clang-tidy-14)"

-- What clang is told of the machine that a compiler makes code for.
local function target(folder)
  local cc = tools.words(tools.variable(folder:file "Makefile", "CC"))[1]
  local machine = cc:match "([^/]*)%-gcc[%d.-]*$"
  return machine and { "--target=" .. machine } or {}
end

local function before(a, b)
  for _, field in ipairs { "rule", "file", "line", "column" } do
    if a[field] ~= b[field] then return a[field] < b[field] end
  end
  return false
end

-- Lines "file:line:column: warning: text [check,check]", each once; of a finding that has several names each.
local function parsed(text, where)
  local list, seen = {}, {}
  for line in tools.lines(text) do
    local file, number, column, kind, rules = line:match "([^/:]*):(%d+):(%d+): (%l+): .*%[([%w.,-]+)%]$"
    if kind == "error" then fail("%s: %s:%s: expected C that clang reads, found %s", where, file, number, line) end
    for rule in (kind == "warning" and rules or ""):gmatch "[^,]+" do
      local key = ("%s:%s:%s:%s"):format(file, number, column, rule)
      if not seen[key] then
        seen[key] = true
        list[#list + 1] = { file = file, line = math.tointeger(number), column = math.tointeger(column), rule = rule }
      end
    end
  end
  return list
end

--- Analyse a folder (lua/run/folder). @param work an empty folder @return as static_misra.collect
function static_tidy.collect(folder, work)
  local sources = library.copied(folder, work)
  local command = tools.joined({ static_tidy.PROGRAM, "--quiet", "--header-filter=.*",
    "--checks=-*,cert-*,bugprone-*" }, sources, { "--" }, target(folder),
    tools.words(tools.variable(folder:file "Makefile", folder.prefix:upper() .. "_CFLAGS")), { "-I", work, "-w" })
  command.cwd = work
  local text = tools.must(command, WHAT, folder.path)
  return static_misra.held(parsed(text, folder.path), folder, work, require "report.tidy", before)
end

return static_tidy

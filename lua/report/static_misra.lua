-- SPDX-License-Identifier: Apache-2.0
--- MISRA C:2012 by cppcheck's add-on: what it finds in the library of a generated folder, held against the records of
-- deviations (lua/report/misra.lua).
-- A copy of the sources is analysed, as the board's compiler sees them: with its predefined macros, in one
-- configuration, all files at once, since some rules are about the whole of a program. System headers are left out.
local fail = require "support.fail"
local library = require "report.library"
local sys = require "msagen.sys"
local tools = require "report.tools"

local static_misra = {}

local CPPCHECK = "cppcheck with its add-on misra (Debian: apt-get install cppcheck)"
local COMPILER = "the board's compiler"

-- What stdint.h, limits.h and float.h would say, in words of the compiler's predefined macros.
local STANDARD = { UINTPTR_MAX = "__UINTPTR_MAX__", SIZE_MAX = "__SIZE_MAX__", CHAR_BIT = "__CHAR_BIT__",
  FLT_RADIX = "__FLT_RADIX__", FLT_MANT_DIG = "__FLT_MANT_DIG__", DBL_MANT_DIG = "__DBL_MANT_DIG__",
  FLT_EVAL_METHOD = "__FLT_EVAL_METHOD__" }

-- What a finding of cppcheck's own says that it has not read all of a file.
local BROKEN = { syntaxError = true, preprocessorErrorDirective = true, internalError = true, internalAstError = true,
  unknownMacro = true, cppcheckError = true }

-- The first record that allows a finding, or nil.
local function record_of(finding, records)
  for _, record in ipairs(records) do
    if record.rule == finding.rule and library.any(finding.file, record.files)
      and library.any(finding["function"], record.functions) then return record end
  end
end

-- The compiler's predefined macros under the Makefile's flags, as a header.
local function configuration(folder, work)
  local makefile = folder:file "Makefile"
  local command = tools.joined(tools.words(tools.variable(makefile, "CC")),
    tools.words(tools.variable(makefile, folder.prefix:upper() .. "_CFLAGS")), { "-dM", "-E", "-x", "c", "/dev/null" })
  local text, names = tools.must(command, COMPILER, folder.path), {}
  for name in pairs(STANDARD) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = ("#define %s %s\n"):format(name, STANDARD[name]) end
  local path = work .. "/predefined.h"
  sys.write_file(path, text .. table.concat(names))
  local platform = text:find "#define __SIZEOF_POINTER__ 8\n" and "unix64" or "unix32"
  return path, platform .. (text:find "#define __CHAR_UNSIGNED__ 1\n" and "-unsigned" or "")
end

-- What cppcheck printed, a line a finding: "file:line:column:rule", each once.
local function parsed(text, where)
  local list, seen = {}, {}
  for line in tools.lines(text) do
    local file, number, column, id = line:match "^([^:]*):(%d+):(%d+):([%w_.%-]+)$"
    if not file then fail("%s: cppcheck: expected findings, found %s", where, line) end
    if BROKEN[id] then fail("%s: %s:%d: expected C that cppcheck reads, found %s", where, file, number, id) end
    local rule = id:match "^misra%-c2012%-([%d.]+)$"
    if rule and not seen[line] and not file:find "predefined%.h$" then
      seen[line] = true
      list[#list + 1] = { file = file, line = math.tointeger(number), column = math.tointeger(column), rule = rule }
    end
  end
  return list
end

-- A rule as a number by which it is sorted.
local function order(rule)
  local chapter, number = rule:match "^(%d+)%.(%d+)$"
  return tonumber(chapter) * 1000 + tonumber(number)
end
static_misra.order = order

local function before(a, b)
  if a.rule ~= b.rule then return order(a.rule) < order(b.rule) end
  if a.file ~= b.file then return a.file < b.file end
  if a.line ~= b.line then return a.line < b.line end
  return a.column < b.column
end

--- Analyse a folder (lua/run/folder).
-- @param work an empty folder  @param records instead of lua/report/misra.lua, or nil
-- @return { findings = {{ rule, file, line, column, function = name or nil, record = its record or nil }...}, sorted,
--   recorded = how many of them have one, unrecorded = {the others...}, unused = {records without a finding...} }
function static_misra.collect(folder, work, records)
  records = records or require "report.misra"
  local sources = library.copied(folder, work)
  local macros, platform = configuration(folder, work)
  -- A macro that nothing asks for: with one given, cppcheck looks at that configuration alone, and tells of an #error.
  local command = tools.joined({ "cppcheck", "--addon=misra", "--enable=style", "--quiet", "--std=c99", "--language=c",
    "-DMSAGEN_ANALYSED=1", "--platform=" .. platform, "--include=" .. macros,
    "--template={file}:{line}:{column}:{id}", "--template-location=" }, sources)
  command.cwd = work
  local findings = parsed(tools.must(command, CPPCHECK, folder.path), folder.path)
  local report, owners, used = { findings = findings, recorded = 0, unrecorded = {}, unused = {} }, {}, {}
  for _, finding in ipairs(findings) do
    local name = finding.file
    owners[name] = owners[name] or library.owners(sys.read_file(work .. "/" .. name))
    finding["function"] = owners[name][finding.line]
  end
  local plain = require("emit.prefix").plain(folder.prefix)
  for _, finding in ipairs(findings) do
    local owner = finding["function"]
    finding.file, finding["function"] = plain(finding.file), owner and plain(owner)
  end
  table.sort(findings, before)
  for _, finding in ipairs(findings) do
    finding.record = record_of(finding, records)
    if finding.record then
      report.recorded, used[finding.record] = report.recorded + 1, true
    else report.unrecorded[#report.unrecorded + 1] = finding end
  end
  for _, record in ipairs(records) do
    if not used[record] then report.unused[#report.unused + 1] = record end
  end
  return report
end

return static_misra

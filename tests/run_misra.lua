-- SPDX-License-Identifier: Apache-2.0
-- MISRA C:2012 by cppcheck's add-on: everything it finds in three builds of the demo and in all files of the runtime
-- has a record in lua/report/misra.lua, every record has a finding, and docs/misra.md says what the records say. gcc's
-- analyser is asked as well.
-- luahost run_misra.lua --accept (make accept-misra) writes that page's table anew.
local sys = require "msagen.sys"
local tally = require "tally"
local must = tally.must
local open = require "run.folder".open
local records = require "report.misra"
local library = require "report.library"
local static_misra = require "report.static_misra"

local page = tally.source .. "/docs/misra.md"
local HEAD = "| rule | asks for | where | why not, and why that is safe | verified by |\n|---|---|---|---|---|\n"

local function code(list)
  local out = {}
  for i, name in ipairs(list or {}) do out[i] = ("`%s`"):format(name) end
  return table.concat(out, ", ")
end

-- The table of docs/misra.md.
local function written()
  local lines = { HEAD }
  for _, r in ipairs(records) do
    lines[#lines + 1] = ("| %s, %s | %s | %s%s | %s %s | %s |\n"):format(r.rule, r.category, r.about, code(r.files),
      r.functions and ": " .. code(r.functions) or "", r.why, r.safe, r.verified)
  end
  return table.concat(lines)
end

local function page_with_table()
  local text = sys.read_file(page)
  local first = assert(text:find(HEAD, 1, true), page .. ": expected the table of records, found none")
  local last = first
  while text:sub(last, last) == "|" do last = text:find("\n", last, true) + 1 end
  return text:sub(1, first - 1) .. written() .. text:sub(last)
end

if arg[1] == "--accept" then
  sys.write_file(page, page_with_table())
  print(page)
  return 0
end

local work = tally.folder "misra"
local unused = {}
for _, record in ipairs(records) do unused[record] = true end

local function analysed(name, folder)
  local place = ("%s/%s-analysed"):format(work, name)
  sys.mkdir_p(place)
  return static_misra.collect(folder, place)
end

-- Findings without a record, the first of them.
local function listed(findings)
  local lines = {}
  for i = 1, math.min(#findings, 20) do
    local f = findings[i]
    lines[i] = ("%s:%d:%d: rule %s in %s"):format(f.file, f.line, f.column, f.rule, f["function"] or "no function")
  end
  return ("%d findings without a record: %s"):format(#findings, table.concat(lines, "; "))
end

local function all_recorded(name, folder)
  local report = analysed(name, folder)
  local still = {}
  for _, record in ipairs(report.unused) do still[record] = true end
  for record in pairs(unused) do unused[record] = still[record] end
  assert(#report.unrecorded == 0, listed(report.unrecorded))
  assert(report.recorded == #report.findings and report.recorded > 0)
  return ("%d findings, all recorded"):format(report.recorded)
end

-- A small folder: a Makefile, headers of a build, and sources.
local headers
local function folder_of(name, sources)
  local path, objects = ("%s/%s"):format(work, name), {}
  sys.mkdir_p(path)
  for _, header in ipairs(sys.list(headers)) do
    if header:match "%.h$" then sys.write_file(path .. "/" .. header, sys.read_file(headers .. "/" .. header)) end
  end
  for source, text in pairs(sources) do
    sys.write_file(path .. "/" .. source, text)
    if source:match "%.c$" then objects[#objects + 1] = source:gsub("c$", "o") end
  end
  table.sort(objects)
  sys.write_file(path .. "/Makefile", ("CC = gcc\nMSA_CFLAGS = -std=c99 -mavx2 -mfma\nOBJECTS = %s\n"):format(
    table.concat(objects, " ")))
  return { path = path, prefix = "msa", file = function(_, file) return path .. "/" .. file end }
end

for _, build in ipairs { { "x86-64-avx2", "f32" }, { "cortex-m7", "f32" }, { "x86-64-avx2", "int8" } } do
  local board, precision = build[1], build[2]
  local name = board .. "-" .. precision
  -- Below the full tier the build in int8 stands for all: it has kernels of floats, too.
  local test = precision == "int8" and tally.test or tally.deep
  test(("%s, %s"):format(board, precision), function()
    local fw = ("%s/%s"):format(work, name)
    must { tally.program, "build", tally.head, "--dialect", "msa-paper", "--board", board, "--precision", precision,
      "-o", fw }
    headers = headers or fw
    return all_recorded(name, open(fw, true))
  end)
end

tally.test("gcc's analyser finds nothing", function()
  must { "make", "-C", headers, "CC=gcc", "CFLAGS=-O2 -fanalyzer -Werror", "lib" }
end)

tally.test("all files of the runtime", function()
  local sources, runtime = {}, tally.source .. "/runtime"
  for _, name in ipairs(sys.list(runtime)) do
    if name:match "^msa.*%.[ch]$" then sources[name] = sys.read_file(runtime .. "/" .. name) end
  end
  return all_recorded("runtime", folder_of("runtime", sources))
end)

tally.deep("every record has a finding", function()
  local lines = {}
  for _, record in ipairs(records) do
    if unused[record] then lines[#lines + 1] = record.rule .. " in " .. table.concat(record.files, " ") end
  end
  assert(#lines == 0, "records without a finding: " .. table.concat(lines, "; "))
end)

tally.test("an injected goto and an injected recursion are found, in their functions", function()
  local text = sys.read_file(tally.source .. "/runtime/msa_mask.c")
    .. "\nstatic int jumps(int x)\n{\nagain:\n    if (x > 3) {\n        x = x / 2;\n        goto again;\n    }\n"
    .. "    return x;\n}\n\nint msa_down(int x);\nint msa_down(int x)\n{\n    int y = jumps(x);\n    if (x > 0) {\n"
    .. "        y = msa_down(x - 1);\n    }\n    return y;\n}\n"
  local found = {}
  for _, f in ipairs(analysed("injected", folder_of("injected", { ["msa_mask.c"] = text })).unrecorded) do
    found[f.rule .. " " .. tostring(f["function"])] = true
  end
  assert(found["15.1 jumps"] and found["17.2 msa_down"], "found neither")
end)

tally.test("which function a line is in", function()
  local owner = library.owners("#define A(x) \\\nint f(x)\nstruct s {\n    int a;\n};\n"
    .. "static const int t[2] = {\n    1, 2,\n};\n__attribute__((noinline))\nstatic int *g(int a,\n    int b)\n{\n"
    .. "    return h(a);\n}\nint i(void);\nint j(void) { return 1; }\nint k;\n")
  local text = {}
  for i = 1, 17 do text[i] = owner[i] or "-" end
  assert(table.concat(text, " ") == "- - - - - - - - g g g g g g - j -", table.concat(text, " "))
end)

tally.test("without cppcheck, or of C that it cannot read, an error in one line", function()
  local folder = folder_of("broken", { ["msa_mask.c"] = "#error no\n" })
  local ok, message = pcall(analysed, "broken", folder)
  assert(not ok and tostring(message.msagen or message):find "preprocessorErrorDirective")
  local bin, script = work .. "/bin", work .. "/without.lua"
  sys.mkdir_p(bin)
  must { "ln", "-s", tally.compiler "gcc", bin .. "/gcc" }
  sys.write_file(script, ([[local folder = { path = %q, prefix = "msa", file = function(_, f) return %q .. f end }
    local ok, e = pcall(require "report.static_misra".collect, folder, %q)
    print(type(e) == "table" and e.msagen or e) return 0]]):format(folder.path, folder.path .. "/",
    work .. "/broken-analysed"))
  local said = must { arg[-1] or tally.tests .. "/luahost", script, env = { PATH = bin } }
  assert(said:find "apt%-get install cppcheck" and not said:find "\n.", said)
end)

tally.test("docs/misra.md has the records", function()
  assert(page_with_table() == sys.read_file(page), "its table is not the records': make accept-misra")
end)
return tally.finish()

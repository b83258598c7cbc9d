-- SPDX-License-Identifier: Apache-2.0
-- docs/sizes.md against what `msagen sizes` finds now: the demo on every board whose compiler is here. A number that
-- differs from the table's by more than 2 % fails until luahost run_sizes.lua --accept (make accept-sizes) has written
-- the table anew, in the same commit. Then the computed stack against a painted one, and what sizes must refuse.
local sys = require "msagen.sys"
local json = require "msagen.json"
local boards = require "target.boards"
local cases = require "cases"
local tally = require "tally"
local must = tally.must

local TOLERANCE = 0.02
local work = tally.folder "sizes"
local path = tally.source .. "/docs/sizes.md"
local accept = arg[1] == "--accept"
local COLUMNS = { ".text", ".rodata", ".data + .bss", "weights", "arena", "session", "stack: open", "self_test",
  "encode", "segment" }

local function values(report)
  local stack = {}
  for _, entry in ipairs(report.stack) do stack[entry.entry] = entry.bytes end
  return { report.text, report.rodata, report.data + report.bss, report.weights, report.arena, report.session,
    stack.msa_open, stack.msa_self_test, stack.msa_encode, stack.msa_segment }
end

local function compiler_of(report) return report.compiler .. " " .. report.version end

-- The table: text before it, rows by board, text after it.
local function read_table(text)
  local before, body, after = text:match "^(.-\n)(| board |[^\n]*\n|[-|: ]*\n)(.*)$"
  assert(before, path .. ": expected a table of boards, found none")
  local rows, rest, last = {}, {}, 1
  for line, position in after:gmatch "([^\n]*)\n()" do
    if line:sub(1, 1) ~= "|" then break end
    local cells = {}
    for cell in line:gmatch "|([^|]+)" do cells[#cells + 1] = cell:match "^%s*(.-)%s*$" end
    local row = { compiler = cells[2] }
    for i = 1, #COLUMNS do
      row[i] = assert(math.tointeger(tonumber((tostring(cells[i + 2]):gsub(" ", "")))),
        ("%s: %s: expected a number for %s"):format(path, cells[1], COLUMNS[i]))
    end
    rows[cells[1]], last = row, position
  end
  return { before = before .. body, rows = rows, after = after:sub(last) }
end

local function write_table(t)
  local names, lines = {}, {}
  for name in pairs(t.rows) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    lines[i] = ("| %s | %s | %s |\n"):format(name, t.rows[name].compiler, table.concat(t.rows[name], " | "))
  end
  return t.before .. table.concat(lines) .. t.after
end

-- The demo, built for every board whose compiler is here; below the full tier for the best one and for those that only
-- an emulator runs, one of each instruction set.
local folders, missing, sampled = {}, {}, {}
local function wanted(board)
  local name = board.isa.name .. (board.hosted and "" or " bare")
  local one = board.name == tally.best or not boards.native(board) and board.emulator and not sampled[name]
  sampled[name] = sampled[name] or one
  return one or accept or tally.full
end
for _, board in ipairs(boards.all()) do
  if not wanted(board) then
  elseif pcall(sys.spawn, { board.compiler, "--version", stdin = "/dev/null", stdout = "/dev/null",
    stderr = "/dev/null" }) then
    local fw = work .. "/" .. board.name
    must { tally.program, "build", tally.head, "--dialect", "msa-paper", "--board", board.name,
      "-o", fw }
    folders[#folders + 1] = { board = board, path = fw, out = fw .. ".json" }
  else missing[board.name] = "there is no " .. board.compiler
  end
end

-- Two at a time: most of each is one large source.
for i = 1, #folders, 2 do
  local script = { "sh", "-c",
    '"$1" sizes --json "$2" > "$3" 2>&1 & test -z "$4" || "$1" sizes --json "$4" > "$5" 2>&1; wait', "sh",
    tally.program, folders[i].path, folders[i].out }
  if folders[i + 1] then table.move({ folders[i + 1].path, folders[i + 1].out }, 1, 2, #script + 1, script) end
  must(script)
end

local function measured(folder)
  local text = sys.read_file(folder.out)
  if text:sub(1, 1) ~= "{" then error(text:match "[^\n]*", 0) end
  return json.decode(text, folder.out)
end

local committed = read_table(sys.read_file(path))
if accept then
  for name in pairs(committed.rows) do
    if not sys.exists(("%s/boards/%s.lua"):format(tally.source, name)) then committed.rows[name] = nil end
  end
  for _, folder in ipairs(folders) do
    local report = measured(folder)
    local row = values(report)
    row.compiler = compiler_of(report)
    committed.rows[folder.board.name] = row
  end
  for name, why in pairs(missing) do print(("%s: as it was: %s"):format(name, why)) end
  sys.write_file(path, write_table(committed))
  print(path)
  return 0
end

for name, why in pairs(missing) do tally.skip(name, why) end
tally.test("the table has a row for every board, and for nothing else", function()
  local all = {}
  for _, board in ipairs(boards.all()) do
    all[board.name] = true
    assert(committed.rows[board.name], board.name .. " has no row: make accept-sizes")
  end
  for name in pairs(committed.rows) do assert(all[name], name .. " is no board: make accept-sizes") end
  assert(write_table(committed) == sys.read_file(path), "rows are not as --accept writes them")
end)

for _, folder in ipairs(folders) do
  local name = folder.board.name
  local row = committed.rows[name] or {}
  local ok, report = pcall(measured, folder)
  if ok and row.compiler and compiler_of(report) ~= row.compiler then
    tally.skip(name, ("the table is of %s, this is %s: compare with what make accept-sizes writes"):format(row.compiler,
      compiler_of(report)))
  else
    tally.test(name .. ": sizes are the table's within 2 %", function()
      if not ok then error(report, 0) end
      assert(row.compiler, "no row in the table")
      local wrong = {}
      for i, value in ipairs(values(report)) do
        local change = value - row[i]
        if math.abs(change) > TOLERANCE * row[i] then
          wrong[#wrong + 1] = ("%s %s from %d to %d"):format(COLUMNS[i], change > 0 and "grew" or "shrank", row[i],
            value)
        end
      end
      assert(#wrong == 0, table.concat(wrong, ", ") .. ": if it has to be, make accept-sizes in the same commit")
      return ("%d bytes of code and constants, %d of stack"):format(report.text + report.rodata, values(report)[9])
    end)
  end
end

-- The stack, measured: never more than computed, and not far below.
local function paint(board, fw, report, command, shifts)
  must { "make", "-j2", "-C", fw, "lib" }
  -- of known small frames, whatever the C library's take
  local program, memory = fw .. "/measure", tally.source .. "/boards/cortex-m/msa_memory.c"
  must { board.compiler, "-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-static", "-I", fw, "-o", program,
    tally.tests .. "/sizes/measure.c", memory, fw .. "/libmsa_model.a", "-pthread" }
  command = table.move({ program, fw .. "/msa_weights.bin", shifts }, 1, 3, #command + 1,
    table.move(command, 1, #command, 1, {}))
  local used, told = {}, {}
  for name, bytes in must(command):gmatch "stack (%S+) (%d+)\n" do used["msa_" .. name] = math.tointeger(bytes) end
  for _, entry in ipairs(report.stack) do
    local bytes = used[entry.entry]
    if bytes then
      assert(bytes <= entry.bytes, ("%s: %d bytes used, %d computed"):format(entry.entry, bytes, entry.bytes))
      assert(entry.entry == "msa_upsample_row" or entry.bytes <= 1.5 * bytes,
        ("%s: %d bytes computed, only %d used"):format(entry.entry, entry.bytes, bytes))
      told[#told + 1] = ("%s %d of %d"):format(entry.entry:gsub("^msa_", ""), bytes, entry.bytes)
    end
  end
  assert(#told == 5, "expected five functions, found " .. table.concat(told, ", "))
  return table.concat(told, ", ") .. " bytes"
end

for _, folder in ipairs(folders) do
  if folder.board.name == tally.best then tally.test(tally.best .. ": stack used and computed",
    function() return paint(folder.board, folder.path, measured(folder), {}, "4") end) end
end
-- Boards that only an emulator runs, one of each instruction set, in the full tier; below it piece `bare` measures the
-- stack of boards without an operating system.
local emulated, seen = {}, {}
for _, one in ipairs(tally.emulated) do
  if not boards.native(one.board) and not seen[one.board.isa.name] then
    seen[one.board.isa.name] = true
    emulated[#emulated + 1] = one
  end
end
if not tally.full then emulated = {} end
for _, one in ipairs(emulated) do
  local board, case = one.board, "msa-2023-2d-trainer-file"
  local title = ("%s: stack used and computed, %s"):format(board.name, case)
  if one.missing then tally.skip(title, one.missing)
  else
    tally.test(title, function()
      local fw = work .. "/case-" .. board.name
      must(cases.build(case, cases.read(case), board.name, fw))
      return paint(board, fw, json.decode(must { tally.program, "sizes", "--json", fw }, fw), board.emulator, "1")
    end)
  end
end

-- What the numbers could not be relied on for is refused: small folders like a build's, of one source.
local function folder_of(name, source)
  local fw = ("%s/small-%s"):format(work, name)
  sys.mkdir_p(fw)
  sys.write_file(fw .. "/manifest.json", json.encode { generator = "msagen", board = "none", prefix = "msa",
    runner = "runner/msa_run", weights = "w", input_size = 1, depth = 1, grid = 1, max_points = 1, arena_bytes = 64,
    weights_bytes = 64,
    macs_encode = 1, macs_decode = 1 })
  sys.write_file(fw .. "/Makefile",
    "CC = cc\nAR = ar\nCFLAGS = -O2\nMSA_CFLAGS = -std=c99\nlib: libmsa_model.a\nlibmsa_model.a: msa_model.o\n"
      .. "\tar rcs $@ msa_model.o\n.c.o:\n\t${CC} ${CFLAGS} ${MSA_CFLAGS} -c -o $@ $<\n")
  sys.write_file(fw .. "/msa_model.h",
    "typedef struct msa_session { int state[7]; } msa_session;\nint msa_open(int n);\n")
  sys.write_file(fw .. "/msa_model.c", '#include "msa_model.h"\nint outside(const char *p);\n' .. source)
  return fw
end

tally.test("the text has 80 columns, units, and a line for each function of the interface", function()
  local folder = folder_of("columns", "static __attribute__((noipa)) int a_name_of_many_words_that_says_it_all(int n) "
    .. "{ return n + outside(0); }\nstatic __attribute__((noipa)) int another_name_of_many_words_that_says_it_all(int "
    .. "n) { return a_name_of_many_words_that_says_it_all(n) + 1; }\nint msa_open(int n) { return 1 + "
    .. "another_name_of_many_words_that_says_it_all(n); }\n")
  local text = must { tally.program, "sizes", folder }
  for line in text:gmatch "[^\n]+" do assert(#line <= 80, line) end
  assert(text:find "^%S+, cc [%d.]+, %-O2; bytes\n" and text:find "\n  %.text +%d+\n" and
    text:find "\n  msa_open +%d+  msa_open %d+ >\n +another_name_of_many_words_that_says_it_all %d+ >\n", text)
end)

local function refused(name, source, why)
  tally.test("refused: " .. name, function()
    local status, output = sys.spawn { tally.program, "sizes", folder_of(name:gsub("%W", "_"), source),
      stdin = "/dev/null", stdout = "capture", stderr = "capture" }
    assert(status == 1 and output:match "^msagen: [^\n]+\n$" and output:find(why, 1, true), output)
  end)
end

refused("a call through a pointer", "int (*volatile hook)(int);\nint msa_open(int n) { return 1 + hook(n); }\n",
  "msa_open: expected no call through a pointer, found one")
refused("a jump through a pointer", "int (*volatile hook)(int);\nint msa_open(int n) { return hook(n); }\n",
  "msa_open: expected no jump through a pointer, found one")
refused("recursion", "static __attribute__((noipa)) int down(int n) { return n > 1 ? outside(0) * msa_open(n - 1) "
  .. ": 1; }\n__attribute__((noipa)) int msa_open(int n) { return down(n) + 1; }\n",
  "expected no function that calls itself, found down > msa_open > down")
refused("a stack that grows with an argument", "int msa_open(int n) { char p[n]; return outside(p); }\n",
  "msa_open: expected a stack of fixed size, found one that is dynamic")
refused("a source that does not compile", "int msa_open(int n) { return n + ; }\n",
  "make: expected it to succeed, found exit status 2: msa_model.c:3:34: error: ")
refused("a library without the interface", "int msa_close(int n);\nint msa_close(int n) { return n; }\n",
  "expected msa_open in the compiled library, found none")

tally.test("a switch that becomes a table of jumps is none through a pointer; frames add up along the deepest call",
  function()
  local text = { "static __attribute__((noipa)) int deep(int n) { char p[1000]; return outside(p) + n; }\n"
    .. "static __attribute__((noipa)) int flat(int n) { char p[10]; return outside(p) - n; }\n",
    "int msa_open(int n)\n{\n    switch (n) {\n" }
  for i = 1, 12 do
    text[#text + 1] = ("    case %d: return %s(n * %d) + 1;\n"):format(i, i == 7 and "deep" or "flat", i * i % 7)
  end
  text[#text + 1] = "    default: return 0;\n    }\n}\nint table_of[3] = {1, 2, 3};\n"
  local report = json.decode(must { tally.program, "sizes", "--json", folder_of("switch", table.concat(text)) },
    "report")
  local open = report.stack[1]
  assert(open.entry == "msa_open" and open.chain[2].name == "deep" and #open.chain == 2, json.encode(open))
  assert(open.bytes == open.chain[1].frame + open.chain[2].frame and open.chain[2].frame >= 1000
    and open.chain[2].frame < 1100, json.encode(open))
  assert(report.outside[1].name == "outside" and report.outside[1].in_use == open.bytes and report.session == 28
    and report.data == 12 and report.text > 0)
end)

tally.test("a compiler that is missing, and options that it does not know, are errors in one line", function()
  local fw = folder_of("options", "int msa_open(int n) { return n; }\n")
  for _, try in ipairs { { "--cc", "no-such-cc",
    "no-such-cc: expected the board's compiler, or --cc with another, found none" },
    { "--cc", "true", "true: expected gcc or clang" },
      { "--cflags", "-O2 -no-such", "no-such" } } do
    local status, output = sys.spawn { tally.program, "sizes", fw, try[1] .. "=" .. try[2], stdin = "/dev/null",
      stdout = "capture", stderr = "capture" }
    assert(status == 1 and output:match "^msagen: [^\n]+\n$" and output:find(try[3], 1, true), output)
  end
end)
return tally.finish()

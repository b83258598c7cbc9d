-- SPDX-License-Identifier: Apache-2.0
--- A build's library with clang's counters of coverage, run by the test program of runtime/coverage on this computer.
local json = require "msagen.json"
local library = require "report.library"
local sys = require "msagen.sys"
local tools = require "report.tools"

local instrumented = {}

local CLANG = "clang-19 with its runtime and tools (Debian: apt-get install clang-19 libclang-rt-19-dev llvm-19)"
local COUNTED = { "-fprofile-instr-generate", "-fcoverage-mapping", "-fcoverage-mcdc" }
local PLAIN = { "-std=c99", "-ffp-contract=off", "-fno-math-errno" } -- of C without a board's instructions

local Program = {}
Program.__index = Program

local function fused() return sys.cpu_features().fma and { "-mfma" } or {} end

-- The flags that the folder's C is compiled with here: the board's own where this CPU has its instructions.
local function flags_of(folder)
  if not folder.native then return tools.joined(PLAIN, fused()) end
  local list = {}
  for _, word in ipairs(tools.words(tools.variable(folder:file "Makefile", folder.prefix:upper() .. "_CFLAGS"))) do
    if not word:find "^%-W" then list[#list + 1] = word end
  end
  return list
end

function Program:tool(what, command)
  command.cwd = self.work
  return tools.must(command, what, self.folder.path)
end

function Program:clang(...) return self:tool(CLANG, tools.joined({ "clang-19", "-O1" }, ...)) end

-- The object of a source of the library. @param more flags, or nil
function Program:object(source, object, more)
  self:clang(self.flags, COUNTED, more or {}, { "-I.", "-c", "-o", object, source })
end

-- The library as an archive, so that its hooks are linked where the test program has none.
function Program:archive(name, objects)
  self:tool("ar of binutils", tools.joined({ "ar", "rcs", name }, objects))
  return name
end

-- What the test program is told of a training step: that it is one, and how its picture is resized.
function Program:training()
  if self.folder.kind ~= "training" then return {} end
  local list = { "MSA_COVERAGE_TRAINING=1" }
  for _, how in pairs(require("import.preparation").resamplings) do
    if how.type and sys.exists(("%s/%s.c"):format(self.work, self.renamed(how.file))) then
      list[2], list[3] = "MSA_RESIZER=" .. how.type, ("MSA_RESIZER_INIT=%s_init"):format(how.calls)
      list[4] = ("MSA_RESIZER_ROW=%s_row"):format(how.calls)
      list[5] = ("MSA_RESIZER_BYTES=%s(MSA_TRAIN_INPUT_SIZE)"):format(how.macro)
    end
  end
  for i, macro in ipairs(list) do list[i] = "-D" .. self.renamed(macro) end
  return list
end

-- The test program's objects, under the folder's prefix. @param own 1: the library's hooks, 0: its own
function Program:tests(own)
  local from, objects, renamed = msagen.datadir .. "/runtime/coverage", {}, self.renamed
  local training = self:training()
  local names = sys.list(from)
  table.sort(names)
  for _, name in ipairs(names) do
    if name:match "%.[ch]$" then
      sys.write_file(("%s/%s"):format(self.work, renamed(name)), renamed(sys.read_file(from .. "/" .. name)))
    end
  end
  for _, name in ipairs(names) do
    if name:match "%.c$" then
      objects[#objects + 1] = ("%d-%s.o"):format(own, renamed(name))
      self:clang({ "-std=c11", ("-D%s=%d"):format(renamed "MSA_COVERAGE_OWN_HOOKS", own) }, training, { "-I.", "-c",
        "-o", objects[#objects], renamed(name) })
    end
  end
  return objects
end

-- Link test program and library, and run them: the counters become a raw profile.
function Program:run(name, objects, archive, ...)
  self:clang({ "-fprofile-instr-generate", "-pthread", "-o", name }, objects, { archive, "-lm",
    ("-Wl,--wrap=%s_crc32c"):format(self.folder.prefix) })
  self.programs[#self.programs + 1] = name
  local path = ("%s/%s"):format(self.work, name)
  local text, status = tools.output({ path, sys.realpath(self.folder:file(self.folder.weights)), ..., cwd = self.work,
    env = { LLVM_PROFILE_FILE = path .. ".profraw" } }, "the test program")
  if status ~= 0 then self.wrong = self.wrong or text:match "[^\n]+" or ("exit status %d"):format(status) end
  self.calls = self.calls + (math.tointeger(text:match "(%d+) calls") or 0)
end

-- Files that compute, each compiled once so that products are contracted with sums: a session does not open.
function Program:forbidden(objects, tests)
  for i, object in ipairs(objects) do
    local source = object:gsub("%.o$", ".c")
    if sys.read_file(self.work .. "/" .. source):find "\nbool [%w_]+_as_written%(" then
      local list = table.move(objects, 1, #objects, 1, {})
      list[i] = "flags-" .. object
      self:object(source, list[i], tools.joined({ "-ffp-contract=fast" }, fused()))
      self:run("flags" .. i, tests, self:archive(("flags%d.a"):format(i), list), "flags")
    end
  end
end

-- What clang's tools read of all runs.
function Program:export()
  local profiles, objects = {}, {}
  for i, name in ipairs(self.programs) do
    profiles[i] = name .. ".profraw"
    if i > 1 then table.move({ "-object", name }, 1, 2, #objects + 1, objects) end
  end
  self:tool(CLANG, tools.joined({ "llvm-profdata-19", "merge", "-o", "all.profdata" }, profiles))
  local text = self:tool(CLANG, tools.joined({ "llvm-cov-19", "export", "-instr-profile=all.profdata",
    self.programs[1] }, objects))
  return json.decode(text:match "{.*}", "llvm-cov's output").data[1].functions
end

--- Compile, run, and read the counters.
-- @param folder lua/run/folder's  @param work an empty folder
-- @return llvm-cov's records of functions; { calls = how many the test program made, wrong = nil, or the first that did
--   not return what it must, flags = as a text }
function instrumented.measure(folder, work)
  local self = setmetatable({ folder = folder, work = work, flags = flags_of(folder), programs = {}, calls = 0 },
    Program)
  self.renamed = require("emit.prefix").renamer(folder.prefix)
  local objects = {}
  for i, source in ipairs(library.copied(folder, work)) do
    objects[i] = source:gsub("%.c$", ".o")
    self:object(source, objects[i])
  end
  local archive, tests = self:archive("all.a", objects), self:tests(0)
  self:run("hooks", tests, archive)
  self:run("own", self:tests(1), archive)
  self:forbidden(objects, tests)
  return self:export(), { calls = self.calls, wrong = self.wrong, flags = table.concat(self.flags, " ") }
end

return instrumented

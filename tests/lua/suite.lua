-- SPDX-License-Identifier: Apache-2.0
-- Runner of the Lua tests: `luahost tests/lua/suite.lua [test_NAME.lua ...]`, all of this folder if none is named.
--
-- Ends with "N passed, N failed" (and ", N skipped" where the host lacks a module) and exit status 1 if any failed. Under
-- plain lua5.4 the tests of what is only Lua run.

local suite = { passed = 0, failed = 0, skipped = 0 }
package.loaded.suite = suite

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/?.lua;%s/../../lua/?.lua;%s"):format(here, here, package.path)

local path = {}

--- Group of tests; groups nest.
function suite.describe(what, body)
  path[#path + 1] = what
  body()
  path[#path] = nil
end

local function reason(problem)
  if type(problem) == "table" and problem.msagen then return "refused: " .. problem.msagen end
  return tostring(problem)
end

--- One test: passes if body returns.
function suite.it(what, body)
  local ok, problem = xpcall(body, function(problem)
    if type(problem) == "table" then return problem end
    return debug.traceback(problem, 2)
  end)
  if ok then
    suite.passed = suite.passed + 1
  else
    suite.failed = suite.failed + 1
    io.stdout:write("FAILED  ", table.concat(path, ": "), ": ", what, "\n        ", (reason(problem):gsub("\n", "\n        ")), "\n")
  end
end

--- The module, or nil after counting one skipped test: for tests that need the host program.
function suite.host(module)
  local ok, found = pcall(require, module)
  if ok then return found end
  suite.skipped = suite.skipped + 1
end

local function show(value, depth)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" or (depth or 0) > 3 then return tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do parts[#parts + 1] = tostring(key) .. " = " .. show(value[key], (depth or 0) + 1) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function alike(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not alike(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- Values are equal; tables key by key.
function suite.equal(found, expected, what)
  if not alike(found, expected) then
    error(("%sexpected %s, found %s"):format(what and what .. ": " or "", show(expected), show(found)), 2)
  end
end

--- The text holds each of the pieces, taken literally.
function suite.holds(text, ...)
  for _, piece in ipairs { ... } do
    if not tostring(text):find(piece, 1, true) then
      error(("expected %q in %q"):format(piece, tostring(text)), 2)
    end
  end
end

--- body refuses what it was given, in one line that holds each of the pieces.
function suite.refuses(body, ...)
  local ok, problem = pcall(body)
  if ok then error("expected a refusal, found none", 2) end
  if type(problem) ~= "table" or not problem.msagen then
    error("expected a refusal, found an internal error: " .. tostring(problem), 2)
  end
  if problem.msagen:find("[%c\127]") then error(("expected one line, found %q"):format(problem.msagen), 2) end
  for _, piece in ipairs { ... } do
    if not problem.msagen:find(piece, 1, true) then
      error(("expected %q in %q"):format(piece, problem.msagen), 2)
    end
  end
end

local function tests()
  local ok, sys = pcall(require, "msagen.sys")
  local list = {}
  if ok then
    list = sys.list(here)
  else
    for name in require("lfs").dir(here) do list[#list + 1] = name end
  end
  local files = {}
  for _, name in ipairs(list) do
    if name:match("^test_[%w_]+%.lua$") then files[#files + 1] = here .. "/" .. name end
  end
  table.sort(files)
  return files
end

suite.folder = here

local files = #arg > 0 and { table.unpack(arg) } or tests()
for _, file in ipairs(files) do
  local before = suite.passed + suite.failed
  local ok, problem = pcall(function() assert(loadfile(file))() end)
  if not ok then
    suite.failed = suite.failed + 1
    io.stdout:write("FAILED  ", file, ": ", reason(problem), "\n")
  elseif suite.passed + suite.failed == before and suite.skipped == 0 then
    suite.failed = suite.failed + 1
    io.stdout:write("FAILED  ", file, ": expected tests, found none\n")
  end
end

io.stdout:write(("%d passed, %d failed%s\n"):format(suite.passed, suite.failed,
  suite.skipped > 0 and (", %d skipped"):format(suite.skipped) or ""))
os.exit(suite.failed == 0 and suite.passed > 0, true)

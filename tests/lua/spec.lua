-- SPDX-License-Identifier: Apache-2.0
-- What the Lua tests are written in: describe, it, and assertions that say what was expected and found.

local tier = require "tier"

local spec = { passed = 0, failed = 0, skipped = 0 }

local path = {}

--- Group of tests; groups nest. Where CHECK_GROUP is set, of the outermost groups that of this name alone is run.
function spec.describe(what, body)
  if #path == 0 and (os.getenv "CHECK_GROUP" or what) ~= what then return end
  path[#path + 1] = what
  body()
  path[#path] = nil
end

--- An error as text: a refusal's line, or what Lua said.
function spec.reason(problem)
  if type(problem) == "table" and problem.msagen then return "refused: " .. problem.msagen end
  return tostring(problem)
end

--- One test: passes if body returns. One that takes more than a second of processor time says how much.
function spec.it(what, body)
  local began = tier.processor()
  local ok, problem = xpcall(body, function(problem)
    if type(problem) == "table" then return problem end
    return debug.traceback(problem, 2)
  end)
  local seconds = tier.processor() - began
  if ok then
    spec.passed = spec.passed + 1
    if seconds > 1 then io.stdout:write(("ok %s: %s  %.0f s\n"):format(table.concat(path, ": "), what, seconds)) end
  else
    spec.failed = spec.failed + 1
    io.stdout:write("FAILED  ", table.concat(path, ": "), ": ", what, "\n        ",
      (spec.reason(problem):gsub("\n", "\n        ")), "\n")
  end
end

--- The module, or nil after counting one skipped test: for tests that need the host program.
function spec.host(module)
  local ok, found = pcall(require, module)
  if ok then return found end
  spec.skipped = spec.skipped + 1
end

--- Whether this tier compiles what the tests of a file need compiled; else one skipped test.
function spec.compiles()
  if not tier.quick then return true end
  spec.skipped = spec.skipped + 1
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
function spec.equal(found, expected, what)
  if not alike(found, expected) then
    error(("%sexpected %s, found %s"):format(what and what .. ": " or "", show(expected), show(found)), 2)
  end
end

--- The text holds each of the pieces, taken literally.
function spec.holds(text, ...)
  for _, piece in ipairs { ... } do
    if not tostring(text):find(piece, 1, true) then
      error(("expected %q in %q"):format(piece, tostring(text)), 2)
    end
  end
end

--- body refuses what it was given, in one line that holds each of the pieces.
function spec.refuses(body, ...)
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

return spec

-- SPDX-License-Identifier: Apache-2.0
-- Runs the Lua tests: `luahost tests/lua/suite.lua [FILE ...]`, every test_*.lua of this folder if none is named.
--
-- Ends with "N passed, N failed", and ", N skipped" where the host lacks a module; exit status 1 if any failed. Under
-- plain lua5.4 the tests of what is only Lua run.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/?.lua;%s/../?.lua;%s/../../lua/?.lua;%s"):format(here, here, here, package.path)
local spec, tier = require "spec", require "tier"

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

local files = #arg > 0 and { table.unpack(arg) } or tests()
for _, file in ipairs(files) do
  local before, began = spec.passed + spec.failed, tier.processor()
  local ok, problem = pcall(function() assert(loadfile(file))() end)
  if not ok then
    spec.failed = spec.failed + 1
    io.stdout:write("FAILED  ", file, ": ", spec.reason(problem), "\n")
  elseif spec.passed + spec.failed == before and spec.skipped == 0 then
    spec.failed = spec.failed + 1
    io.stdout:write("FAILED  ", file, ": expected tests, found none\n")
  end
  local seconds = tier.processor() - began
  if seconds > 1 then
    io.stdout:write(("%s: %d tests, %.0f s\n"):format(file, spec.passed + spec.failed - before, seconds))
  end
  io.stdout:flush()
end

io.stdout:write(("%d passed, %d failed%s\n"):format(spec.passed, spec.failed,
  spec.skipped > 0 and (", %d skipped"):format(spec.skipped) or ""))
return spec.failed == 0 and spec.passed > 0 and 0 or 1

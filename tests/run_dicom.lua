-- SPDX-License-Identifier: Apache-2.0
-- Damaged DICOM files: each is read, or refused in one line that names it, within 10 seconds, and nothing is left
-- behind. 150, in the full tier 10 000; or as many as the first argument says, behind as many as the second says.
local sys = require "msagen.sys"
local tally = require "tally"
local damage = require "damage"
local dicom = require "scans.dicom"

local MOST_SECONDS = 10

if not dicom.available() then
  tally.skip("damaged DICOM files", "this build has no msagen-dicom")
  return tally.finish()
end

-- This program once more, with a temporary folder of its own, in which nothing may be left.
local temporary = os.getenv "TMPDIR" or "/tmp"
if not temporary:find "/own%-temporary$" then
  local own = tally.folder "dicom" .. "/own-temporary"
  sys.mkdir_p(own)
  return (sys.spawn { sys.realpath "/proc/self/exe", arg[0], arg[1], arg[2], env = { TMPDIR = own } })
end

local golden = tally.tests .. "/golden-front/dicom"
local whole = {}
for _, name in ipairs(sys.list(golden)) do
  if name:find "%.dcm$" and sys.size(golden .. "/" .. name) < 24000 then
    whole[#whole + 1] = sys.read_file(golden .. "/" .. name)
  end
end

-- Read it as people do, grey included. @return "read", "refused"
local function outcome(path)
  local began = sys.monotonic_ns()
  local ok, problem = pcall(function()
    local scan = dicom.read(path)
    assert(scan.values:numel() > 0)
    if scan.grey then scan:grey() end
  end)
  local seconds = (sys.monotonic_ns() - began) / 1e9
  assert(seconds < MOST_SECONDS, ("%.1f seconds"):format(seconds))
  assert(#sys.list(temporary) == 0, "something is left behind")
  if ok then return "read", seconds end
  local text = type(problem) == "table" and problem.msagen or error(problem, 0)
  assert(text:find(path, 1, true) and not text:find "[%c\127]", text)
  return text:find "its decoder failed" and "crashed the helper"
    or text:find "found it takes longer" and "took too long" or "refused", seconds
end

local before = math.tointeger(tonumber(arg[2])) or 0
local count = math.tointeger(tonumber(arg[1])) or (tally.full and 10000 or 150)
tally.test(("%d damaged DICOM files"):format(count), function()
  local path = temporary:match "^(.*)/" .. "/damaged.dcm"
  local found, slowest = {}, 0
  for n = before + 1, before + count do
    sys.write_file(path, damage.of(whole[n % #whole + 1], n), true)
    local ok, what, seconds = pcall(outcome, path)
    if not ok then error(("number %d: %s"):format(n, what), 0) end
    found[what], slowest = (found[what] or 0) + 1, math.max(slowest, seconds)
  end
  local parts = {}
  for _, what in ipairs { "read", "refused", "crashed the helper", "took too long" } do
    parts[#parts + 1] = ("%d %s"):format(found[what] or 0, what)
  end
  assert((found.refused or 0) > count // 4 and (found.read or 0) > count // 20, "too few of a kind")
  return table.concat(parts, ", ") .. (", the slowest %.1f s"):format(slowest)
end)

tally.test("a value that claims more bytes than the file has is not waited for", function()
  local path = tally.tests .. "/fuzz/corpus/dicom/length" -- 290 bytes; 3.7 GB in the part before the pictures
  local status, out = sys.spawn { sys.program "msagen-dicom", "facts", path, stdin = "/dev/null", stdout = "capture",
    stderr = "/dev/null", limits = { processor_s = 1, wall_s = MOST_SECONDS } }
  assert(status == 1 and out:find("expected a whole DICOM file", 1, true), ("exit %d: %s"):format(status, out))
end)

return tally.finish()

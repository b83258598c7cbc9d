-- SPDX-License-Identifier: Apache-2.0
--- Starting msagen-dicom, which decodes: a process of its own with limits, so that a hostile file ends it alone.
local fail = require "support.fail"
local json = require "msagen.json"
local sys = require "msagen.sys"

local helper = {}

local PROGRAM = "msagen-dicom"
local PACKAGES = "g++ libdcmtk-dev libopenjp2-7-dev"
local SECONDS, SECONDS_A_MIB = 8, 2 -- a file, and of each MiB more
local MEMORY, OUTPUT = 4 << 30, 16 << 30

--- Path of the program, or nil where msagen was built without it.
function helper.path() return sys.program(PROGRAM) end

local function limits_for(files)
  local mib = 0
  for _, file in ipairs(files) do mib = mib + (sys.size(file) or 0) / 1048576 end
  -- A thousand slices take longer than one, though they are small.
  local seconds = SECONDS + math.floor(SECONDS_A_MIB * mib + #files / 50)
  return { wall_s = seconds, processor_s = seconds, memory_bytes = MEMORY, file_bytes = OUTPUT }
end

local SIGNALS = { [132] = "an illegal instruction", [134] = "it aborted", [135] = "a bus error",
  [136] = "a floating-point exception", [139] = "a memory access outside its own" }

-- Why the program ended without an answer.
local function ending(status, limits)
  if status == 142 or status == 152 or status == 137 then
    return ("expected to be decoded in %d s, found it takes longer: it is damaged, or this machine is busy"):format(
      limits.wall_s)
  end
  if status == 153 then return ("its pixels take more than %d GiB"):format(OUTPUT >> 30) end
  return ("its decoder failed (%s): the file is damaged"):format(SIGNALS[status] or "exit status " .. status)
end

--- Run the program on files.
-- @param words its arguments before the files
-- @return a table of facts for each file: as the program says, or { error =, picture = } where one was refused
function helper.run(words, files)
  local program = helper.path()
  if not program then
    fail("%s: DICOM: this msagen was built without its reader: on Debian: apt-get install %s, then ./configure and "
      .. "make", files[1], PACKAGES)
  end
  local limits = limits_for(files)
  local command = { program, stdin = "/dev/null", stdout = "capture", stderr = "/dev/null", limits = limits,
    env = { LC_ALL = "C" } }
  table.move(words, 1, #words, 2, command)
  table.move(files, 1, #files, #command + 1, command)
  local status, output = sys.spawn(command)
  local facts = {}
  for line in output:gmatch "([^\n]*)\n" do
    local ok, one = pcall(json.decode, line, PROGRAM)
    facts[#facts + 1] = ok and one or nil
    if not ok or one.error and words[1] == "pixels" then break end
  end
  local last = facts[#facts]
  if #facts < #files and not (last and last.error) or #facts == #files and status > 1 then
    fail("%s: DICOM: %s", files[math.min(#facts + 1, #files)], ending(status, limits))
  end
  return facts
end

local FILES_MOST = 1000 -- that one process is given

--- The facts of files. @return as helper.run; none where a file's could not be read
function helper.facts(files)
  local facts = {}
  while #facts < #files do -- it goes on behind a file that is refused
    local left = table.move(files, #facts + 1, math.min(#files, #facts + FILES_MOST), 1, {})
    local found = helper.run({ "facts" }, left)
    table.move(found, 1, #found, #facts + 1, facts)
  end
  return facts
end

--- Decode files of one size and kind.
-- @param kind NPY's type of the values, as in facts, or "-": what the first file needs
-- @param frame number of the one wanted, from 0, or nil
-- @param name of the tensors
-- @return facts of each file, values [N,H,W] or [N,H,W,3], and of a palette the colours [N,H,W,3]
function helper.pixels(files, kind, frame, name)
  local npy = require "msagen.npy"
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-dicom-")
  local out = scratch .. "/pixels.npy"
  local ok, facts, values, rgb = pcall(function()
    local facts = helper.run({ "pixels", out, kind, frame and tostring(frame) or "-" }, files)
    local last = facts[#facts]
    if last.error then fail("%s: DICOM: %s", files[#facts], last.error) end
    local values = npy.read(out):rename(name)
    return facts, values, last.palette and npy.read(out .. ".rgb"):rename(name) or nil
  end)
  sys.remove_tree(scratch) -- what is mapped stays until it is let go
  sys.keep(scratch)
  if not ok then error(facts, 0) end
  return facts, values, rgb
end

return helper

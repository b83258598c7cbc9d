-- SPDX-License-Identifier: Apache-2.0
--- Whether the files of a generated folder are those that msagen wrote, and its runner what came of them.
-- RUNNER.sums, in the format of sha256sum, lists sources and products as they were when `run` compiled them, or first
-- saw what a make by hand had compiled. Every step of the Makefile removes it.
local fail = require "support.fail"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local made = {}

--- The folder within a generated one that has the test bench: what `run` calls, and no product links.
made.RUNNER_FOLDER = "runner"
local IN_RUNNER = "^" .. made.RUNNER_FOLDER .. "/([^/]+)$"

--- The name of a file of a generated folder without the test bench's folder; nil where it is in another folder.
function made.base(name)
  local base = name:match(IN_RUNNER) or name
  if base ~= "" and not base:find("/", 1, true) and not base:match "^%.+$" then return base end
end

--- Files of a generated folder, in order, those of the test bench's folder among them as FOLDER/NAME. A link of that
-- name is a file like any other.
function made.list(path)
  local names, within = {}, made.RUNNER_FOLDER
  for _, name in ipairs(sys.list(path)) do
    local inner = path .. "/" .. name
    if name == within and sys.isdir(inner) and not sys.readlink(inner) then
      for _, file in ipairs(sys.list(inner)) do names[#names + 1] = within .. "/" .. file end
    else
      names[#names + 1] = name
    end
  end
  return names
end

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- The files of the folder that msagen wrote and whose hashes its manifest has, in order.
function made.sources(folder)
  local manifest = folder:file "manifest.json"
  if type(folder.files) ~= "table" or not next(folder.files) then
    fail("%s: files: expected a SHA-256 for each generated file, found none: build the folder again", manifest)
  end
  for name, hash in pairs(folder.files) do
    if type(name) ~= "string" or not made.base(name) or type(hash) ~= "string" or not hash:match "^%x+$" then
      fail("%s: files: expected names and their SHA-256, found %s: build the folder again", manifest, tostring(name))
    end
  end
  return sorted(folder.files)
end

--- What make makes of them that is there always: the objects and the runner. Without an operating system the weights
-- are an object, too.
function made.products(folder)
  local names = {}
  for _, name in ipairs(made.sources(folder)) do
    local stem = name:match "^(.*)%.c$" or folder.hosted == false and name:match "^(.*)%.S$"
    if stem then names[#names + 1] = stem .. ".o" end
  end
  names[#names + 1] = folder.runner
  return names
end

--- Hash every file that msagen wrote, and the weights where the runner holds them.
-- @return name -> SHA-256, and the names, in order, of files that are missing or other than what msagen wrote
function made.hashes(folder)
  local hashes, changed = {}, {}
  for _, name in ipairs(made.sources(folder)) do
    hashes[name] = sha256.file(folder:file(name))
    if hashes[name] ~= folder.files[name] then changed[#changed + 1] = name end
  end
  if folder.hosted == false then hashes[folder.weights] = sha256.file(folder:file(folder.weights)) end
  return hashes, changed
end

local function sums_of(folder) return folder:file(folder.runner .. ".sums") end

-- The list as it was written, or nil.
local function read(folder)
  local path = sums_of(folder)
  if not sys.exists(path) then return nil end
  local list = {}
  for line in sys.read_file(path):gmatch "[^\n]+" do
    local hash, name = line:match "^(%x+)  (.+)$"
    if hash then list[name] = hash end
  end
  return list
end

--- Whether the products are what came of the sources.
-- @return "vouched"; "missing", a product is not there and the others are vouched for; "absent", nothing is known of
-- them; or "foreign" and the name of a file that has changed since
function made.state(folder, hashes)
  local list, missing = read(folder), false
  if not list then return "absent" end
  for _, name in ipairs(sorted(hashes)) do
    if list[name] ~= hashes[name] then return "foreign", name end
  end
  for _, name in ipairs(made.products(folder)) do
    local hash = sha256.file(folder:file(name))
    missing = missing or not hash
    if hash and hash ~= list[name] then return "foreign", name end
  end
  return missing and "missing" or "vouched"
end

--- Note what the products, which are complete, were made from. A folder that cannot be written has no note.
function made.note(folder, hashes)
  local lines, all = {}, {}
  for name, hash in pairs(hashes) do all[name] = hash end
  for _, name in ipairs(made.products(folder)) do all[name] = sha256.file(folder:file(name)) end
  for i, name in ipairs(sorted(all)) do lines[i] = ("%s  %s\n"):format(all[name], name) end
  pcall(sys.write_file, sums_of(folder), table.concat(lines), true)
end

--- Whether the runner says that it is of this build (MSA_RUN_BUILD); true where the manifest names none.
function made.is_ours(folder)
  if type(folder.build) ~= "string" then return true end
  local path = folder:file(folder.runner)
  return sys.exists(path) and sys.read_file(path):find(folder.build, 1, true) ~= nil
end

--- Remove the products, which nobody vouches for.
function made.remove(folder)
  os.remove(sums_of(folder))
  for _, name in ipairs(made.products(folder)) do os.remove(folder:file(name)) end
end

--- Whether a name is that of a file which a step of make writes before it is whole: NAME.PID.o, .a or .tmp.
-- @return the number of make's shell, or nil
function made.partial(name)
  local base = made.base(name) or ""
  return base:match "^[%w_]+%.(%d+)%.o$" or base:match "^[%w_]+%.(%d+)%.a$" or base:match "^[%w_]+%.(%d+)%.tmp$"
end

-- Whether a process is there and not only waits to be counted as ended.
local function lives(pid)
  local ok, stat = pcall(sys.read_file, ("/proc/%s/stat"):format(pid))
  return ok and not stat:match "%) [ZX] "
end

--- Remove what steps of make left that were killed: partial files of no process that lives.
function made.sweep(folder)
  for _, name in ipairs(made.list(folder.path)) do
    local pid = made.partial(name)
    if pid and not lives(pid) then os.remove(folder:file(name)) end
  end
end

return made

-- SPDX-License-Identifier: Apache-2.0
--- Checkpoints in several files, as transformers saves large ones: model.safetensors.index.json names the file of each
-- tensor. Together they are used like one file of msagen.checkpoint, whose methods they have.

local checkpoint = require "msagen.checkpoint"
local closed = require "support.closed"
local fail = require "support.fail"
local json = require "msagen.json"
local names = require "import.names"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local shards = {}

local MOST_BYTES = 64 << 20 -- of an index
local MOST_FILES = 1000

local Shards = {}
Shards.__index = Shards

-- The index: name of a tensor -> name of its file, each the name of a file beside the index.
local function read_index(path)
  if not sys.exists(path) then fail("%s: cannot be read: No such file or directory", path) end
  local bytes = sys.size(path)
  if bytes > MOST_BYTES then fail("%s: expected at most %d bytes, found %d", path, MOST_BYTES, bytes) end
  local whole = json.decode(sys.read_file(path), path)
  local map = type(whole) == "table" and whole.weight_map
  if type(map) ~= "table" or not next(map) then
    fail("%s: weight_map: expected an object of tensors' names and their files, found %s", path,
      type(map) == "table" and "an empty one" or "none")
  end
  local files, count = {}, 0
  for name, file in pairs(map) do
    if type(name) ~= "string" or type(file) ~= "string" or not file:match "^[%w_][%w_.-]*$" then
      fail("%s: weight_map: %s: expected the name of a file beside the index, found %s", path,
        names.show(tostring(name)), names.show(tostring(file)))
    end
    if not files[file] then
      files[file], count = {}, count + 1
      if count > MOST_FILES then fail("%s: weight_map: expected at most %d files, found more", path, MOST_FILES) end
    end
    files[file][name] = true
  end
  return map, files
end

-- The tensors of a file are those that the index says.
local function compare(path, file, one, listed)
  for _, name in ipairs(one:names()) do
    if not listed[name] then
      fail("%s: %s: expected in weight_map of %s, found no such name", one.path, names.show(name), path)
    end
  end
  for _, name in ipairs(closed.sorted(listed)) do
    if not one:has(name) then
      fail("%s: weight_map: %s: expected in %s, found no such tensor there", path, names.show(name), file)
    end
  end
end

--- Open a checkpoint: an index of several files, or one file. @param set as of msagen.checkpoint.open
-- @param programs whether that may be a TorchScript program
function shards.open(path, set, programs)
  local open = programs and checkpoint.open_program or checkpoint.open
  if not path:match "%.index%.json$" then return open(path, set) end
  local map, listed = read_index(path)
  local folder, made = path:match "^(.*/)[^/]*$" or "", { path = path, parts = {}, of = {}, order = {} }
  for _, file in ipairs(closed.sorted(listed)) do
    local one = checkpoint.open(folder .. file, set)
    compare(path, file, one, listed[file])
    made.parts[#made.parts + 1] = one
    for _, name in ipairs(one:names()) do
      made.of[name], made.order[#made.order + 1] = one, name
    end
  end
  local first = made.parts[1]
  made.format, made.set, made.metadata = first.format, first.set, first.metadata
  made.container = ("%s in %d files"):format(first.container, #made.parts)
  made.index = { map = map, hash = sha256.file(path) }
  return setmetatable(made, Shards)
end

function Shards:names() return table.move(self.order, 1, #self.order, 1, {}) end

function Shards:has(name) return self.of[name] ~= nil end

function Shards:tensor(name)
  local one = self.of[name]
  if not one then fail("%s: holds no tensor %s", self.path, name) end
  return one:tensor(name)
end

--- The hash of a text: the index's hash and name, then those of the files in their order, a line each as sha256sum
-- writes it.
function Shards:sha256()
  if not self.hash then
    local lines = { ("%s  %s\n"):format(self.index.hash, self.path:match "[^/]*$") }
    for i, one in ipairs(self.parts) do lines[i + 1] = ("%s  %s\n"):format(one:sha256(), one.path:match "[^/]*$") end
    self.hash = sha256.hex(table.concat(lines))
  end
  return self.hash
end

for _, method in ipairs { "verify", "unchanged", "confirm", "forget", "close" } do
  Shards[method] = function(self)
    for _, one in ipairs(self.parts) do one[method](one) end
  end
end

return shards

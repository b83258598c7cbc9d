-- SPDX-License-Identifier: Apache-2.0
--- Output files: written to temporaries in their own file system, put in their places when all are on the disk.
-- A folder of results is replaced as a whole: by exchange where the system can, else file by file.
local fail = require "support.fail"
local sys = require "msagen.sys"

local staging = {}
staging.__index = staging

function staging.new()
  return setmetatable({ folders = {}, files = {}, trees = {}, count = 0 }, staging)
end

local function split(path)
  local parent, name = path:match "^(.*)/([^/]*)$"
  if not parent then return ".", path end
  return parent == "" and "/" or parent, name
end

-- The nearest folder above (or at) a path that exists already.
local function existing(path)
  while not sys.exists(path) do path = split(path) end
  return path
end

-- Below /dev, but for file systems of their own there, and what POSIX has for files of shared memory.
local function among_devices(real)
  if real ~= "/dev" and not real:match "^/dev/" or real == "/dev/shm" or real:match "^/dev/shm/" then return false end
  return sys.folder(real).device == sys.folder("/dev").device
end

-- A private folder within `parent`, one for all files that go there.
function staging:folder(parent, target)
  local base = existing(parent)
  if not sys.isdir(base) then fail("%s: cannot be written: %s is no folder", target, base) end
  local real = sys.realpath(base) or base
  if not self.folders[real] then
    if among_devices(real) then fail("%s: cannot be written: not among the devices", target) end
    local ok, made = pcall(sys.mkdtemp, base, ".msagen-")
    if not ok then
      local why = tostring(type(made) == "table" and made.msagen or made):gsub("^.*: cannot be written: ", "")
      fail("%s: cannot be written: %s", target, why)
    end
    sys.cleanup(made)
    self.folders[real] = made
  end
  return self.folders[real]
end

function staging:temporary(parent, target)
  self.count = self.count + 1
  return ("%s/%d"):format(self:folder(parent, target), self.count)
end

--- A temporary path for the file that will be `target`; its folder is made at the end if it is missing.
-- A target that is a link stays one: what it leads to is replaced.
function staging:file(target)
  local _, name = split(target)
  if name == "" or sys.isdir(target) then
    fail("%s: cannot be written: expected the name of a file, found a folder", target)
  end
  local place = sys.realpath(target) or target
  local parent = split(place)
  local temporary = self:temporary(parent, target)
  self.files[#self.files + 1] = { temporary = temporary, target = target, place = place, parent = parent }
  return temporary
end

-- Whether a folder is on another file system than what it lies in: no file gets there by renaming, nor can it be
-- exchanged.
local function is_mount(place, parent)
  return sys.isdir(place) and sys.folder(place).device ~= sys.folder(parent).device
end

--- A folder that will be replaced as a whole: function(name) gives the temporary path of a file that will be in it.
function staging:tree(target)
  local place = sys.realpath(target) or target:gsub("(.)/+$", "%1")
  local parent = split(place)
  local within, ok, temporary = is_mount(place, parent), nil, nil
  if not within then ok, temporary = pcall(self.temporary, self, parent, target) end
  if not ok then -- a mount, or a folder whose surroundings cannot be written
    if not sys.isdir(place) then error(temporary, 0) end
    temporary = self:temporary(place, target)
  end
  sys.mkdir_p(temporary)
  self.trees[#self.trees + 1] = { temporary = temporary, place = place, parent = parent }
  return function(name)
    local path = temporary .. "/" .. name
    self.files[#self.files + 1] = { temporary = path, target = target .. "/" .. name, inside = true }
    return path
  end
end

--- A text of the runner's or a writer's with the temporary paths in it replaced by the names that they stand for.
function staging:renamed(text)
  for _, file in ipairs(self.files) do
    local first, last = text:find(file.temporary, 1, true)
    if first and not text:sub(last + 1, last + 1):match "[%w_.]" then
      text = text:sub(1, first - 1) .. file.target .. text:sub(last + 1)
    end
  end
  return text
end

-- The current folder, and what it lies in, must not be exchanged: a shell would stay in the old one.
local function is_above_here(place)
  local here = sys.realpath "." or ""
  return here == place or place == "/" or here:sub(1, #place + 1) == place .. "/"
end

local function put_tree(tree)
  local place = tree.place
  if not sys.exists(place) then
    sys.mkdir_p(tree.parent)
    sys.rename(tree.temporary, place)
    return sys.sync(tree.parent)
  end
  if not is_above_here(place) then
    local ok, exchanged = pcall(sys.exchange, tree.temporary, place)
    if ok and exchanged then return sys.sync(tree.parent) end -- what was there goes with the temporaries
  end
  local new = {}
  for _, name in ipairs(sys.list(tree.temporary)) do
    sys.rename(tree.temporary .. "/" .. name, place .. "/" .. name)
    new[name] = true
  end
  for _, name in ipairs(sys.list(place)) do
    if not new[name] and not name:match "^%.msagen%-" then sys.remove_tree(place .. "/" .. name) end
  end
  sys.sync(place)
end

--- Put every file in its place. All are on the disk before the first is.
function staging:commit()
  for _, file in ipairs(self.files) do sys.sync(file.temporary) end
  for _, tree in ipairs(self.trees) do
    sys.chmod(tree.temporary, 493) -- 0755: a temporary folder is private
    sys.sync(tree.temporary)
  end
  for _, file in ipairs(self.files) do
    if not file.inside then
      if not sys.exists(file.parent) then sys.mkdir_p(file.parent) end
      sys.rename(file.temporary, file.place)
    end
  end
  for _, tree in ipairs(self.trees) do put_tree(tree) end
  for _, file in ipairs(self.files) do
    if not file.inside then sys.sync(file.parent) end
  end
end

--- Remove what is left of the temporaries.
function staging:close()
  for _, path in pairs(self.folders) do
    sys.remove_tree(path)
    sys.keep(path)
  end
end

return staging

-- SPDX-License-Identifier: Apache-2.0
--- Output files: written to temporaries in their own file system, put in their places when all are complete.
local fail = require "fail"
local sys = require "msagen.sys"

local staging = {}
staging.__index = staging

function staging.new()
  return setmetatable({ folders = {}, files = {}, count = 0 }, staging)
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

-- A private folder within `parent`, one for all files that go there.
function staging:folder(parent, target)
  local base = existing(parent)
  if not sys.isdir(base) then fail("%s: cannot be written: %s is no folder", target, base) end
  local real = sys.realpath(base) or base
  if not self.folders[real] then
    if real == "/dev" or real:match "^/dev/" then fail("%s: cannot be written: not among the devices", target) end
    local ok, made = pcall(sys.mkdtemp, base, ".msagen-")
    if not ok then fail("%s: cannot be written: %s", target, (tostring(type(made) == "table" and made.msagen or made):gsub("^.*: cannot be written: ", ""))) end
    sys.cleanup(made)
    self.folders[real] = made
  end
  return self.folders[real]
end

--- A temporary path for the file that will be `target`; its folder is made at the end if it is missing.
function staging:file(target)
  local parent, name = split(target)
  if name == "" or sys.isdir(target) then fail("%s: cannot be written: expected the name of a file, found a folder", target) end
  self.count = self.count + 1
  local temporary = ("%s/%d"):format(self:folder(parent, target), self.count)
  self.files[#self.files + 1] = { temporary = temporary, target = target, parent = parent }
  return temporary
end

--- A text of the runner's or a writer's with the temporary paths in it replaced by the names that they stand for.
function staging:renamed(text)
  for _, file in ipairs(self.files) do
    local first, last = text:find(file.temporary, 1, true)
    if first and not text:sub(last + 1, last + 1):match "%d" then text = text:sub(1, first - 1) .. file.target .. text:sub(last + 1) end
  end
  return text
end

--- Put every file in its place.
function staging:commit()
  for _, file in ipairs(self.files) do
    if not sys.exists(file.parent) then sys.mkdir_p(file.parent) end
    sys.rename(file.temporary, file.target)
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

-- SPDX-License-Identifier: Apache-2.0
--- The folder that `build` writes: staged in a temporary one, then put in its place as a whole.
-- A new folder is renamed. One that msagen wrote changes places with the staged one where that leaves the user nothing
-- to miss.
-- Any other (an empty one, a mount point, the current folder, one with files of the user's in it) is written into: its
-- manifest says that it is unfinished while files change, which `run` refuses and the next build repairs; an error puts
-- the old files back.
local fail = require "support.fail"
local json = require "msagen.json"
local made = require "run.made"
local sys = require "msagen.sys"

local output_folder = {}
output_folder.__index = output_folder

local MANIFEST, MAX_LINKS = "manifest.json", 40

local function split(path)
  local parent, name = path:match "^(.*)/([^/]+)$"
  if not parent then return ".", path end
  return parent == "" and "/" or parent, name
end

-- Where a path leads: a link stays, what it names is written.
local function target_of(dir)
  local path = dir:gsub("/[/.]*/$", "/"):gsub("(.)/+$", "%1")
  for _ = 1, MAX_LINKS do
    local real = sys.realpath(path)
    if real then return real end
    local link = sys.readlink(path)
    if not link then return path end
    path = link:sub(1, 1) == "/" and link or split(path) .. "/" .. link
  end
  fail("%s: expected a folder, found links that lead nowhere", dir)
end

-- Names that a folder's manifest calls msagen's or that its Makefile makes.
local function names_of(manifest)
  local ours = { [MANIFEST] = true }
  local function add(name)
    if type(name) == "string" and made.base(name) then ours[name] = true end
  end
  for name in pairs(type(manifest.files) == "table" and manifest.files or {}) do
    local stem = type(name) == "string" and (name:match "^(.*)%.c$" or name:match "^(.*)%.S$")
    add(name)
    if stem then add(stem .. ".o") end
  end
  for _, name in ipairs(type(manifest.unfinished) == "table" and manifest.unfinished or {}) do add(name) end
  add(manifest.weights)
  if type(manifest.runner) == "string" then
    add(manifest.runner)
    add(manifest.runner .. ".sums")
  end
  if type(manifest.prefix) == "string" then
    for _, what in ipairs { "model", "train" } do add(("lib%s_%s.a"):format(manifest.prefix, what)) end
  end
  return ours
end

local function leftover(name)
  return name:match "^%.msagen%-" or made.partial(name)
end

-- What a compiler wrote, and no source beside it is the user's: what an earlier build left.
local PRODUCTS = { o = true, su = true, ci = true, d = true, gcno = true, gcda = true }
local function stale_products(theirs)
  local sources, products, others = {}, {}, {}
  for _, name in ipairs(theirs) do
    local stem, ending = name:match "^(.+)%.(%w+)$"
    if stem and not PRODUCTS[ending] then sources[stem] = true end
  end
  for _, name in ipairs(theirs) do
    local stem, ending = name:match "^(.+)%.(%w+)$"
    local list = stem and PRODUCTS[ending] and not sources[stem] and products or others
    list[#list + 1] = name
  end
  return products, others
end

--- What is in a folder that may be written: refused unless it is empty or has a manifest of ours.
-- @return names that may be replaced, and those that are the user's, in order
local function contents(self)
  if not sys.isdir(self.dir) then fail("%s: expected a folder, found a file", self.named) end
  local ours, theirs = { [MANIFEST] = true }, {}
  local path = self.dir .. "/" .. MANIFEST
  local ok, manifest = pcall(function() return json.decode(sys.read_file(path), path) end)
  local known = ok and type(manifest) == "table" and manifest.generator == "msagen"
  if known then ours = names_of(manifest) end
  for _, name in ipairs(known and made.list(self.dir) or sys.list(self.dir)) do
    if not (known and ours[name]) and not leftover(name)
      and not (name == "lost+found" and sys.folder(self.dir).mount) then
      theirs[#theirs + 1] = name
    end
  end
  if not known and #theirs > 0 then
    fail("%s: expected an empty folder or one that msagen wrote, found other files, as %s", self.named, theirs[1])
  end
  local products, others = stale_products(theirs)
  for _, name in ipairs(products) do ours[name] = true end
  return ours, others
end

--- The folder that is to be at `dir`; refused if something else is there.
function output_folder.open(dir)
  if dir == "" then fail "-o: expected a folder, found an empty text" end
  local self = setmetatable({ named = dir, dir = target_of(dir), made = {} }, output_folder)
  if sys.exists(self.dir) then contents(self) end
  return self
end

-- Whether this folder may be another one afterwards: nobody stands in it, nothing is mounted there, its owner stays.
local function exchangeable(self, staged)
  local old, new, here = sys.folder(self.dir), sys.folder(staged), sys.realpath "." or ""
  local around = self.dir == "/" or here == self.dir or here:sub(1, #self.dir + 1) == self.dir .. "/"
  return not around and not old.mount and old.uid == new.uid and old.gid == new.gid
end

--- Begin: make what is missing above the folder, and a temporary one.
-- @return path of the folder to write into
function output_folder:stage()
  local parent = split(self.dir)
  if not sys.isdir(parent) then
    self.made = sys.mkdir_p(parent)
    for _, path in ipairs(self.made) do sys.cleanup_if_empty(path) end
  end
  local exists, ok, temporary = sys.exists(self.dir), false, nil
  -- Beside it, where that is the same file system and may be written.
  if not exists or not sys.folder(self.dir).mount then ok, temporary = pcall(sys.mkdtemp, parent, ".msagen-") end
  if not ok and not exists then
    fail("%s: cannot be made: %s", self.named, type(temporary) == "table" and temporary.msagen or temporary)
  end
  self.beside = ok
  self.temporary = ok and temporary or sys.mkdtemp(self.dir, ".msagen-")
  self.staged = self.temporary .. "/new"
  sys.mkdir(self.staged)
  return self.staged
end

local function each_but_manifest(list, body)
  for _, name in ipairs(list) do
    if name ~= MANIFEST then body(name) end
  end
end

-- Refuse to write where the user has a file of a generated file's name, or of the name of the test bench's folder.
local function check_free(self, new, ours)
  local function refuse(name)
    fail("%s/%s: expected nothing of the name of a generated file, found a file that msagen did not write", self.named,
      name)
  end
  local inner = self.dir .. "/" .. made.RUNNER_FOLDER
  if sys.readlink(inner) or sys.exists(inner) and not sys.isdir(inner) then refuse(made.RUNNER_FOLDER) end
  each_but_manifest(new, function(name)
    if not ours[name] and sys.exists(self.dir .. "/" .. name) then refuse(name) end
  end)
end

-- Put the staged files into the folder, one by one; an error puts back what was there.
local function write_into(self, ours)
  local dir, staged, old = self.dir, self.staged, self.temporary .. "/old"
  local new = made.list(staged)
  check_free(self, new, ours)
  local path = dir .. "/" .. MANIFEST
  local before, all = sys.exists(path) and sys.read_file(path) or nil, json.array {}
  for name in pairs(names_of(json.decode(sys.read_file(staged .. "/" .. MANIFEST), path))) do ours[name] = true end
  for name in pairs(ours) do all[#all + 1] = name end
  table.sort(all)
  sys.mkdir_p(old .. "/" .. made.RUNNER_FOLDER)
  sys.write_file(path, json.encode({ generator = "msagen", unfinished = all }, { indent = 1 }) .. "\n")
  local away, here = {}, {}
  local function move(name, from, to, list)
    sys.rename(from .. "/" .. name, to .. "/" .. name)
    list[#list + 1] = name
  end
  local ok, message = pcall(function()
    sys.mkdir_p(dir .. "/" .. made.RUNNER_FOLDER)
    each_but_manifest(all, function(name)
      if sys.exists(dir .. "/" .. name) then move(name, dir, old, away) end
    end)
    each_but_manifest(new, function(name) move(name, staged, dir, here) end)
    sys.rename(staged .. "/" .. MANIFEST, path)
  end)
  if ok then return end
  for _, name in ipairs(here) do sys.rename(dir .. "/" .. name, staged .. "/" .. name) end
  for _, name in ipairs(away) do sys.rename(old .. "/" .. name, dir .. "/" .. name) end
  sys.rmdir(dir .. "/" .. made.RUNNER_FOLDER) -- where it is empty
  if before then sys.write_file(path, before) else os.remove(path) end
  error(message, 0)
end

-- Put what is staged in its place, where something may be by now.
local function place(self)
  if not sys.exists(self.dir) and pcall(sys.rename, self.staged, self.dir) then return end
  local lock = sys.lock(self.dir, true) -- no run compiles in it meanwhile, no other build writes it
  local ok, message = pcall(function()
    local ours, theirs = contents(self)
    if self.beside and #theirs == 0 and exchangeable(self, self.staged) then
      sys.chmod(self.staged, sys.folder(self.dir).mode)
      if sys.exchange(self.staged, self.dir) then return end
    end
    write_into(self, ours)
  end)
  if lock then sys.unlock(lock) end
  if not ok then error(message, 0) end
end

--- The staged files are complete: put them in their place, whole or not at all.
function output_folder:commit()
  sys.hold_signals(true)
  local ok, message = pcall(place, self)
  if ok then
    for _, path in ipairs(self.made) do sys.keep(path) end
    self.made = {}
    ok, message = pcall(sys.sync, (split(self.dir))) -- the power may fail now
  end
  sys.hold_signals(false)
  if not ok then error(message, 0) end
end

--- An error, with the name of the folder as the user gave it in place of the staged one's.
function output_folder:renamed(message)
  local text = type(message) == "table" and message.msagen or message
  local first, last
  for _, name in ipairs { "/new", "/old" } do
    if self.temporary and type(text) == "string" and not first then
      first, last = text:find(self.temporary .. name, 1, true)
    end
  end
  if not first then return message end
  text = text:sub(1, first - 1) .. self.named:gsub("(.)/+$", "%1") .. text:sub(last + 1)
  if type(message) ~= "table" then return text end
  message.msagen = text
  return message
end

--- Remove what is left of the work; after a failure also the folders that were made for it.
function output_folder:close()
  if self.temporary then
    sys.remove_tree(self.temporary)
    sys.keep(self.temporary)
  end
  for i = #self.made, 1, -1 do
    sys.rmdir(self.made[i])
    sys.keep(self.made[i])
  end
end

--- Write texts to a staged folder, and the manifest that has their hashes.
-- @param work the folder @param texts name -> text, for prefix msa @param rename emit/prefix's
-- @param manifest function(name -> SHA-256) -> the manifest's fields
function output_folder.write(work, texts, rename, manifest)
  local files = {}
  sys.mkdir(work .. "/" .. made.RUNNER_FOLDER)
  for _, name in ipairs(require("support.closed").sorted(texts)) do
    local text, to = rename(texts[name]), rename(name)
    files[to] = require("msagen.sha256").hex(text)
    sys.write_file(work .. "/" .. to, text, true)
  end
  local text = json.encode(manifest(files), { indent = 1 })
  sys.write_file(work .. "/manifest.json", require("emit.manifest_seal").put(text .. "\n"))
end

return output_folder

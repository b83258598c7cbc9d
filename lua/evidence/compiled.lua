-- SPDX-License-Identifier: Apache-2.0
--- A build's programs as its Makefile makes them now, in a copy of its folder: what lies compiled in the folder itself
-- may be of another compiler or of other flags than those that the evidence names.
local compile = require "run.compile"
local folders = require "run.folder"
local made = require "run.made"
local sys = require "msagen.sys"

local compiled = {}
compiled.__index = compiled

--- @param folder of run.folder @param cc another compiler than the Makefile's, or nil @param cflags likewise
function compiled.of(folder, cc, cflags)
  return setmetatable({ original = folder, cc = cc, cflags = cflags }, compiled)
end

local function copied(folder, path)
  sys.mkdir_p(("%s/%s"):format(path, made.RUNNER_FOLDER))
  local function copy(name) sys.write_file(("%s/%s"):format(path, name), sys.read_file(folder:file(name))) end
  for _, name in ipairs(made.sources(folder)) do copy(name) end
  if not folder.files[folder.weights] then copy(folder.weights) end
  copy "manifest.json" -- the newest file, which no product is older than
end

--- The copy, opened and compiled.
function compiled:folder()
  if not self.path then
    self.work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
    self.path = self.work .. "/build" -- the folder of ours has a lock already
    copied(self.original, self.path)
  end
  compile(self.path, { cc = self.cc, cflags = self.cflags })
  local copy = folders.open(self.path)
  copy:compile() -- verifies it
  return copy
end

--- A text that names the copy, of the folder itself.
function compiled:named(text)
  return self.path and (text:gsub(self.path:gsub("%p", "%%%0"), (self.original.path:gsub("%%", "%%%%")))) or text
end

--- Remove the copy.
function compiled:close()
  if not self.work then return end
  sys.remove_tree(self.work)
  sys.keep(self.work)
  self.work, self.path = nil, nil
end

return compiled

-- SPDX-License-Identifier: Apache-2.0
--- The library's sources of a generated folder, for tools that read or compile a copy of them.
local c_text = require "report.c_text"
local sys = require "msagen.sys"
local tools = require "report.tools"

local library = {}

--- Copy the library's sources and all headers of a folder (lua/run/folder) to an empty one.
-- @return names of the sources, sorted
function library.copied(folder, work)
  local sources = {}
  for object in tools.variable(folder:file "Makefile", "OBJECTS"):gmatch "(%S+)%.o%f[%s\0]" do
    sources[#sources + 1] = object .. ".c"
  end
  table.sort(sources)
  for _, name in ipairs(sys.list(folder.path)) do
    if name:match "%.h$" then sys.write_file(work .. "/" .. name, sys.read_file(folder:file(name))) end
  end
  for _, name in ipairs(sources) do sys.write_file(work .. "/" .. name, sys.read_file(folder:file(name))) end
  return sources
end

--- Which function each line of a C text is in: line -> name; lines outside of functions have none.
function library.owners(text)
  local owner = {}
  for _, f in ipairs(c_text.read(text).functions) do
    for line = f.first, f.last do owner[line] = f.name end
  end
  return owner
end

-- A pattern of records, in which * stands for any text.
local function matches(name, pattern)
  return name:find("^" .. pattern:gsub("%W", "%%%0"):gsub("%%%*", ".*") .. "$") ~= nil
end

--- Whether a name is one of a record's; patterns nil: any is. @param name or nil
function library.any(name, patterns)
  if not patterns then return true end
  for _, pattern in ipairs(patterns) do
    if name and matches(name, pattern) then return true end
  end
  return false
end

return library

-- SPDX-License-Identifier: Apache-2.0
--- The libraries that this msagen is made of and runs with: their versions, licences, and the files that are loaded.
local dicom = require "scans.dicom.helper"
local made = require "msagen.libraries"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local libraries = {}

-- Licences as SPDX names them (NIfTI's library is in the public domain, which has no name there), and the shared file's
-- name, without numbers, where it is not the library's.
local KNOWN = { lua = { "MIT", "liblua" }, libzip = { "BSD-3-Clause" }, libpng = { "libpng-2.0" },
  ["libjpeg-turbo"] = { "IJG AND BSD-3-Clause AND Zlib", "libjpeg" }, libjpeg = { "IJG" }, zlib = { "Zlib", "libz" },
  libtiff = { "libtiff" }, libnifti2 = { nil, "libnifti" }, jansson = { "MIT", "libjansson" },
  nettle = { "LGPL-3.0-or-later OR GPL-2.0-or-later", "libnettle" },
  libunistring = { "LGPL-3.0-or-later OR GPL-2.0-or-later" }, glibc = { "LGPL-2.1-or-later", "libc" },
  openmpi = { "BSD-3-Clause-Open-MPI", "libmpi" }, argparse = { "MIT" }, dcmtk = { "BSD-3-Clause" },
  openjpeg = { "BSD-2-Clause" } }

-- Shared files that this process has loaded: name without numbers at its end -> path.
local function loaded()
  local found = {}
  local maps <close> = io.open "/proc/self/maps"
  for line in maps and maps:lines() or function() end do
    local path = line:match "%s(/%S*/lib[^/]*%.so[%d.]*)$"
    if path then found[path:match "/(lib[%w_-]-)[%d.]*%.so[%d.]*$" or path] = path end
  end
  return found
end

-- What msagen-dicom says of its own.
local function of_helper()
  local program, list = dicom.path(), {}
  if not program then return list end
  local _, text = sys.spawn { program, "--libraries", stdin = "/dev/null", stdout = "capture", stderr = "/dev/null" }
  for name, linked, running in text:gmatch "(%l+) (%S+) ?(%S*)\n" do
    list[#list + 1] = { name = name, linked = linked, running = running ~= "" and running or nil, by = "msagen-dicom" }
  end
  return list
end

--- @return list of { name, licence = as SPDX has it or nil, linked = version of the headers, running = version that
--   answers now or nil, file = name of the loaded file or nil, sha256 = of it, by = program that uses it }
function libraries.of()
  local list, files = made.of(), loaded()
  local ok, argparse = pcall(require, "argparse")
  if ok and argparse.version then list[#list + 1] = { name = "argparse", linked = argparse.version } end
  for _, one in ipairs(list) do one.by = "msagen" end
  table.move(of_helper(), 1, 99, #list + 1, list)
  for _, one in ipairs(list) do
    local known = KNOWN[one.name] or {}
    one.licence = known[1]
    local path = one.by == "msagen" and files[known[2] or one.name]
    if path then one.file, one.sha256 = path:match "[^/]*$", sha256.file(path) end
  end
  return list
end

return libraries

-- SPDX-License-Identifier: Apache-2.0
--- Where a bundle goes: a new or an empty folder, or one that holds nothing but an earlier bundle. That one is replaced
-- as a whole, so that no table of another build or of other arguments stays beside the new record.
local bundles = require "change.bundles"
local fail = require "support.fail"
local outputs = require "run.outputs"
local sys = require "msagen.sys"

local place = {}

--- Check a bundle's folder before the work; what cannot be replaced is an error.
-- @param out the folder, as -o names it @param build the folder of the build
function place.check(out, build)
  if outputs.canonical(out) == outputs.canonical(build) then
    fail("-o %s: expected another folder than the build's, found that one", out)
  end
  local id, kind = sys.identity(out)
  if not id and kind then fail("-o %s: cannot be written: expected a folder, found a link that leads nowhere", out) end
  if not id then return end
  if kind ~= "folder" then fail("-o %s: cannot be written: expected a folder, found a %s", out, kind) end
  local sums = bundles.is(out) and bundles.open(out).sums or {}
  for _, name in ipairs(sys.list(out)) do
    if not sums[name] and name ~= "SHA256SUMS" and not name:match "^%.msagen%-" then
      fail("-o %s: expected an empty folder or one with a bundle of msagen evidence alone, found %s in it", out, name)
    end
  end
end

return place

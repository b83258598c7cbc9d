-- SPDX-License-Identifier: Apache-2.0
--- A manifest's own SHA-256, in its field manifest_sha256: banks in another order, or other sizes, would be another
-- answer.
-- What says how this machine runs the folder (emulator, requires) is a person's to change and does not count.
local sha256 = require "msagen.sha256"

local seal = {}

local FIELD = '"manifest_sha256": "%x*"'

local function hash(text)
  text = text:gsub(FIELD, ""):gsub('("emulator": )%b[]', "%1null"):gsub('"requires": %b[]', "")
  return sha256.hex(text)
end

--- The text of a manifest, whose manifest_sha256 is empty, with its hash in it.
function seal.put(text)
  local own = hash(text)
  local sealed, count = text:gsub('("manifest_sha256": ")"', "%1" .. own .. '"')
  assert(count == 1)
  return sealed
end

--- Whether a manifest says another hash than its text has; one that says none is let pass.
function seal.broken(text)
  local told = text:match '"manifest_sha256":%s*"(%x*)"'
  return told ~= nil and told ~= hash(text)
end

return seal

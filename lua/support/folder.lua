-- SPDX-License-Identifier: Apache-2.0
--- Modules that are found by looking into their folder: nothing lists them.
local sys = require "msagen.sys"

local folder = {}

--- The names of the modules of a folder of lua/, sorted, without the folder's. @param name as modules are named:
-- "networks.encoders"
function folder.modules(name)
  local names = {}
  for _, file in ipairs(sys.list(("%s/lua/%s"):format(msagen.datadir, (name:gsub("%.", "/"))))) do
    names[#names + 1] = file:match "^(.+)%.lua$"
  end
  table.sort(names)
  return names
end

return folder

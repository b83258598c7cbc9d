-- SPDX-License-Identifier: Apache-2.0
--- What requests of kernels are written with (lua/support/schema.lua).
local schema = require "support.schema"

local requests = { size = schema.whole(1, math.maxinteger), stride = schema.whole(0, math.maxinteger) }

--- A schema of sizes that must be there.
function requests.sizes(...)
  local fields = {}
  for _, name in ipairs { ... } do fields[name] = { requests.size, true } end
  return fields
end

--- A schema of what is required and of what may be there: { name = kind }.
function requests.request(required, optional)
  for name, one in pairs(optional) do required[name] = { one } end
  return required
end

return requests

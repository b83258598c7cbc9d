-- SPDX-License-Identifier: Apache-2.0
--- Named places in a layer's scratch memory, in floats, each on a cache line.
local scratch = {}
scratch.__index = scratch

function scratch.new() return setmetatable({ at = {}, size = 0 }, scratch) end

function scratch:take(name, floats)
  assert(not self.at[name], name)
  self.at[name] = self.size
  self.size = self.size + (floats + 15) // 16 * 16
  return self.at[name]
end

return scratch

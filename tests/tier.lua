-- SPDX-License-Identifier: Apache-2.0
-- How much of the matrix of cases, boards and options the tests run: CHECK_TIER is "quick" (make check: what compiles
-- little), "whole" (./quickstart check, the default) or "full" (make check-full). docs/testing.md says what each has.
-- What stands for many below the full tier follows from names, never from time or chance.
local tier = { name = os.getenv "CHECK_TIER" or "whole" }
assert(tier.name == "quick" or tier.name == "whole" or tier.name == "full",
  "CHECK_TIER: expected quick, whole or full, found " .. tier.name)
tier.full, tier.quick = tier.name == "full", tier.name == "quick"

local function sum_of(name)
  local sum = 0
  for i = 1, #name do sum = (31 * sum + name:byte(i)) % 65521 end
  return sum
end

--- One of a list, the same for the same name as long as the list is.
function tier.chosen(list, name) return list[sum_of(name) % #list + 1] end

--- Whether a name is among about one in `n`, which are run below the full tier.
function tier.sampled(name, n) return tier.full or sum_of(name) % n == 0 end

--- Seconds of processor time that this process and those it has waited for took.
function tier.processor()
  local file <close> = io.open "/proc/self/stat"
  local ticks, at = 0, 0
  for word in (file and file:read "a" or ""):gsub("^.*%) ", ""):gmatch "%S+" do
    at = at + 1
    if at >= 12 and at <= 15 then ticks = ticks + tonumber(word) end
  end
  return ticks / 100
end

return tier

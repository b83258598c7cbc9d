-- SPDX-License-Identifier: Apache-2.0
--- How the work of a layer is shared by the cores of a build: the units of a phase in order, a run of them for each
-- core, from a table made here. Who computes what never depends on time, and no unit's arithmetic on who computes it.
local cores = {}

cores.MOST = 8

--- Bounds b of n runs of `count` units: core c takes the units from b[c + 1] up to, not including, b[c + 2].
-- @param cost function(unit from 0) -> its cost; all alike if nil
function cores.split(count, n, cost)
  local sums = { [0] = 0 }
  for i = 1, count do sums[i] = sums[i - 1] + (cost and cost(i - 1) or 1) end
  local bounds, at = { 0 }, 0
  for c = 1, n - 1 do
    local goal = sums[count] * c / n
    while at < count and math.abs(sums[at + 1] - goal) <= math.abs(sums[at] - goal) do at = at + 1 end
    bounds[c + 1] = at
  end
  bounds[n + 1] = count
  return bounds
end

--- The largest share of such a split, as a part of the whole: 1 / n if it is even.
function cores.largest_share(bounds, cost)
  local most, all = 0, 0
  for c = 1, #bounds - 1 do
    local sum = 0
    for i = bounds[c], bounds[c + 1] - 1 do sum = sum + (cost and cost(i) or 1) end
    most, all = math.max(most, sum), all + sum
  end
  return all > 0 and most / all or 1
end

--- What templates write loops over a core's units with. One core has constants; several have a table `name` in the
-- text.
function cores.loops(n)
  local loops = { cores = n, entries = n + 3, core_parameter = n > 1 and ", uint32_t core" or "", core_argument = n > 1
    and ", core" or "",
    team_parameter = n > 1 and ", msa_session *session, uint32_t core" or "" }
  --- C initialiser of `entries` bounds, each times `scale`: those of the team, then those of a core that does
  -- everything by itself (MSA_ALONE).
  function loops.shares(count, scale, bounds)
    local list = bounds or cores.split(count, n)
    local out = {}
    for i, b in ipairs(list) do out[i] = ("%d"):format(b * (scale or 1)) end
    table.move({ out[1], out[#list] }, 1, 2, #out + 1, out)
    return "{" .. table.concat(out, ", ") .. "}"
  end
  function loops.from(name) return n > 1 and name .. "[core]" or "0" end
  function loops.to(name, last) return n > 1 and name .. "[core + 1]" or ("%d"):format(last) end
  return loops
end

return cores

-- SPDX-License-Identifier: Apache-2.0
--- Which process does which cases: all of them, or part R of N. A launcher of several processes (mpirun, srun) tells
-- each its number by variables of the environment.
local fail = require "support.fail"

local deal = {}

-- Rank from 0, and how many.
local LAUNCHERS = {
  { "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE" }, { "PMI_RANK", "PMI_SIZE" }, { "SLURM_PROCID", "SLURM_NTASKS" },
}
local MOST = 65536

local function whole(text) return text and text:match "^%d+$" and math.tointeger(tonumber(text)) or nil end

-- What the launcher says, or an error.
local function from_environment(getenv)
  for _, names in ipairs(LAUNCHERS) do
    local rank, size = getenv(names[1]), getenv(names[2])
    if rank or size then
      local r, n = whole(rank), whole(size)
      if not r or not n or n < 1 or n > MOST or r >= n then
        fail("--shard env: expected %s below %s, found %s and %s", names[1], names[2], rank or "none", size or "none")
      end
      return { rank = r, count = n }
    end
  end
  fail("--shard env: expected %s, %s or %s, as mpirun and srun set them, found none: --shard R/N says it by hand",
    LAUNCHERS[1][1], LAUNCHERS[2][1], LAUNCHERS[3][1])
end

--- What --shard says: { rank = from 0, count }, or nil and what was expected. R counts from 1.
-- @param getenv os.getenv unless given
function deal.shard(text, getenv)
  if text == "env" then return from_environment(getenv or os.getenv) end
  local r, n = text:match "^(%d+)/(%d+)$"
  r, n = whole(r), whole(n)
  if r and n and n >= 1 and n <= MOST and r >= 1 and r <= n then return { rank = r - 1, count = n } end
  return nil, ("expected R/N, part R of N, R from 1, or env, found %s"):format(text)
end

--- The cases of one part: every N-th of all, the largest first, so that no part gets all the large ones.
function deal.part(cases, shard)
  local sorted, mine = table.move(cases, 1, #cases, 1, {}), {}
  table.sort(sorted, function(a, b)
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.name < b.name
  end)
  for i, case in ipairs(sorted) do
    if (i - 1) % shard.count == shard.rank then mine[#mine + 1] = case end
  end
  return mine
end

--- Perform this process's cases.
-- @param cases all of them, each with `name` and `bytes`
-- @param options { shard = what deal.shard gives, or nil: this process does all }
-- @param perform function(case, done, total), called one after the other
-- @return true where this process is the one that merges; false where others have parts of the cases
function deal.each(cases, options, perform)
  local shard = options.shard or { rank = 0, count = 1 }
  local mine = deal.part(cases, shard)
  for i, case in ipairs(mine) do perform(case, i - 1, #mine) end
  return shard.count == 1
end

return deal

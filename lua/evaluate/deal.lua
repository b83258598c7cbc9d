-- SPDX-License-Identifier: Apache-2.0
--- Which process does which cases: all of them, part R of N, or what rank 0 of mpirun hands out. A launcher of several
-- processes (mpirun, srun) tells each its number by variables of the environment.
local fail = require "support.fail"
local ranks = require "evaluate.ranks"

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

--- What --shard says: { rank = from 0, count }, or nil and what was expected. R counts from 1; 0 is another name of N,
-- so that a launcher which counts from 0 does all parts, too.
-- @param getenv os.getenv unless given
function deal.shard(text, getenv)
  if text == "env" then return from_environment(getenv or os.getenv) end
  local r, n = text:match "^(%d+)/(%d+)$"
  r, n = whole(r), whole(n)
  if r and n and n >= 1 and n <= MOST and r <= n then return { rank = (r - 1) % n, count = n } end
  return nil, ("expected R/N, part R of N, R from 1, or env, found %s"):format(text)
end

-- The largest first, so that no process is left with a large one at the end.
local function largest_first(cases)
  local sorted = table.move(cases, 1, #cases, 1, {})
  table.sort(sorted, function(a, b)
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.name < b.name
  end)
  return sorted
end

--- One of the parts that --shard names: every N-th of all.
function deal.share(cases, shard)
  local mine = {}
  for i, case in ipairs(largest_first(cases)) do
    if (i - 1) % shard.count == shard.rank then mine[#mine + 1] = case end
  end
  return mine
end

--- The part that this process is, { rank = from 0, count, together = rank 0 hands out the cases }.
-- @param shard what deal.shard gives, or nil: one of the ranks of mpirun, or alone
function deal.who(shard)
  if shard then return shard end
  if not ranks.launched() then return { rank = 0, count = 1 } end
  local rank, count = ranks.start()
  return { rank = rank, count = count, together = true }
end

-- Rank 0 hands out the cases.
local function together(cases, who, options, perform)
  local sorted, numbers, done = largest_first(cases), {}, 0
  for i = 1, #sorted do numbers[i] = i end
  return ranks.deal(numbers, who.rank, who.count, { folder = options.folder,
    perform = function(i) perform(sorted[i], done, #sorted) end,
    finished = function() done = done + 1 end,
    died = function(rank, i)
      options.warn(("rank %d has ended: others do its cases"):format(rank))
      return not options.noted(sorted[i])
    end })
end

--- Perform this process's cases.
-- @param cases all of them, each with `name` and `bytes`
-- @param who what deal.who gives
-- @param options { folder = of the ranks' locks, noted = function(case) -> whether any process has noted it as done,
--   warn = function(text) }
-- @param perform function(case, done, total), called one after the other
-- @return true where this process is the one that merges, and all cases are done; false where others have parts
function deal.each(cases, who, options, perform)
  if who.together then return together(cases, who, options, perform) end
  local mine = deal.share(cases, who)
  for i, case in ipairs(mine) do perform(case, i - 1, #mine) end
  return who.count == 1
end

--- This process has no cases to do any more. @param folder of the ranks' locks
function deal.part(who, folder)
  if who.together then ranks.part(who.rank, who.count, folder) end
end

return deal

-- SPDX-License-Identifier: Apache-2.0
--- Dealing numbered work among the ranks of `mpirun -n N msagen ...`: rank 0 hands out numbers, and works itself in
-- between. A rank that dies gives back what it had: each rank holds a lock on a file of its own for as long as it
-- lives, and rank 0 tries those of ranks that owe it something. What the work makes goes to files that all ranks see;
-- messages are `ready ROUND` and `done ROUND K`, and from rank 0 a number, `end`, or `leave` where not all ranks are
-- there any more; at last `part`. A round is a call of ranks.deal.
-- (mpirun ends all ranks when one dies, but with --enable-recovery.)
local fail = require "support.fail"
local mpi = require "msagen.mpi"
local sys = require "msagen.sys"

local ranks = {}

local CHECK_MS = 1000 -- between looks at the locks
local ABSENT_MS = 20000 -- how long rank 0 waits at the end for ranks that never said that they are ready
local POLL_MS = 50

local round = 0

local function lock_path(folder, rank) return ("%s/rank.%d"):format(folder, rank) end

--- Whether mpirun started this process as one of several.
function ranks.launched() return (tonumber(os.getenv "OMPI_COMM_WORLD_SIZE") or 1) > 1 end

--- Join the ranks. @return this one's number, from 0, and how many there are
function ranks.start()
  if not mpi.start then
    fail "MPI: expected a msagen that was configured with --with-mpi, found one without: give --shard env, then --merge"
  end
  return mpi.start()
end

--- Take the lock that says that this process lives; it ends with it.
function ranks.live(folder, rank)
  sys.mkdir_p(folder)
  local path = lock_path(folder, rank)
  sys.write_file(path, "")
  if not sys.lock(path, true) then fail("%s: cannot be locked: expected a folder with locks for the ranks", path) end
end

--- Whether a rank holds its lock.
function ranks.lives(folder, rank)
  local lock = sys.lock(lock_path(folder, rank), false)
  if lock then sys.unlock(lock) end
  return lock == false
end

local deal = {}
deal.__index = deal

-- Give a rank the next number; where none is left it waits, as one may come back.
function deal:serve(rank)
  self.owed[rank], self.waiting[rank] = nil, nil
  local number = table.remove(self.left, 1)
  if not number then
    self.waiting[rank] = true
    return
  end
  self.owed[rank] = number
  mpi.send(rank, tostring(number))
end

-- A rank that owes a number, and whose lock is free, is dead: its number goes to the next.
function deal:look_for_dead()
  local now = sys.monotonic_ns()
  if now - self.looked < CHECK_MS * 1000000 then return end
  self.looked = now
  for rank in pairs(self.known) do
    if not self.dead[rank] and not ranks.lives(self.folder, rank) then
      self.dead[rank], self.waiting[rank] = true, nil
      local number = self.owed[rank]
      self.owed[rank] = nil
      if number and self.died(rank, number) then table.insert(self.left, 1, number)
      elseif number then self.finished(number) end
    end
  end
  for rank in pairs(self.waiting) do
    if #self.left > 0 then self:serve(rank) end
  end
end

-- Hear what ranks say, for so long at most. @return whether one said something
function deal:hear(ms)
  local rank, text = mpi.receive(ms)
  if not rank then return false end
  self.known[rank] = true
  if tonumber(text:match "^%a+ (%d+)") < round then -- it came too late for that one
    mpi.send(rank, "leave")
    return true
  end
  local number = math.tointeger(tonumber(text:match "^done %d+ (%d+)$"))
  if number then self.finished(number) end
  self:serve(rank)
  return true
end

function deal:attend()
  while self:hear(0) do end
  self:look_for_dead()
end

local function count(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

-- All numbers are done: let the ranks go, when all have come that will. @return whether all are there
function deal:dismiss(size)
  local until_ns = sys.monotonic_ns() + ABSENT_MS * 1000000
  while count(self.waiting) + count(self.dead) < size - 1 and sys.monotonic_ns() < until_ns do
    self:hear(POLL_MS)
    self:look_for_dead()
  end
  local whole = count(self.waiting) == size - 1
  for rank in pairs(self.waiting) do mpi.send(rank, whole and "end" or "leave") end
  return whole
end

local function lead(numbers, size, options)
  local self = setmetatable({ left = table.move(numbers, 1, #numbers, 1, {}), owed = {}, waiting = {}, known = {},
    dead = {}, looked = 0, folder = options.folder, died = options.died, finished = options.finished }, deal)
  sys.while_waiting(function() self:attend() end)
  repeat
    self:attend()
    local number = table.remove(self.left, 1)
    if number then
      options.perform(number)
      options.finished(number)
    elseif next(self.owed) then self:hear(POLL_MS) end
  until #self.left == 0 and not next(self.owed)
  sys.while_waiting(nil)
  ranks.whole = self:dismiss(size)
  return true
end

-- Rank 0 is dead where it lived before, or does not come.
local function look_for_rank_0(folder, since)
  local there = ranks.lives(folder, 0)
  ranks.met = ranks.met or there
  if there or not ranks.met and sys.monotonic_ns() - since < ABSENT_MS * 1000000 then return end
  fail "MPI: expected rank 0 to hand out work, found that it ended"
end

local function follow(options)
  mpi.send(0, ("ready %d"):format(round))
  local looked = sys.monotonic_ns()
  local since = looked
  while true do
    local _, text = mpi.receive(POLL_MS)
    if text == "end" or text == "leave" then
      ranks.whole = text == "end"
      return false
    end
    if text then
      local number = math.tointeger(tonumber(text))
      options.perform(number)
      mpi.send(0, ("done %d %d"):format(round, number))
    elseif sys.monotonic_ns() - looked > CHECK_MS * 1000000 then
      looked = sys.monotonic_ns()
      look_for_rank_0(options.folder, since)
    end
  end
end

--- Have each number done by one of the ranks that live.
-- @param numbers an array of whole numbers
-- @param rank, size of this process
-- @param options { perform = function(number), finished = function(number): called on rank 0 when anybody has done one,
--   died = function(rank, number) -> whether the number that it had is still to be done: called on rank 0, folder =
--   where the ranks' locks are, which all see }
-- @return whether this is rank 0, which goes on when all numbers are done; the others are done then
function ranks.deal(numbers, rank, size, options)
  round = round + 1
  ranks.live(options.folder, rank)
  if rank > 0 then return follow(options) end
  return lead(numbers, size, options)
end

--- This rank has no part in the work any more. Rank 0 goes on; the others wait for it, and end: MPI waits for all ranks
-- at its end, so that it is left without a word where one is dead.
function ranks.part(rank, size, folder)
  ranks.size = size
  if rank == 0 then return end
  if not ranks.whole then mpi.leave(0) end
  repeat
    local _, text = mpi.receive(CHECK_MS)
    if not text and not ranks.lives(folder, 0) then mpi.leave(0) end
  until text == "part"
  mpi.finish(0)
end

--- The end of rank 0, with its exit status.
function ranks.finish(status)
  if not ranks.size then return end
  if not ranks.whole then mpi.leave(status) end
  for rank = 1, ranks.size - 1 do mpi.send(rank, "part") end
  mpi.finish(status)
end

return ranks

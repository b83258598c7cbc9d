-- SPDX-License-Identifier: Apache-2.0
--- The ranks of `mpirun -n N msagen train`: each has a contiguous part of every batch; sums of gradients go to rank 0,
-- which joins them in the batch's tree and gives the total to all. The bits are those of one process. A rank that dies
-- ends the others; the training is resumed from its state.
local fail = require "support.fail"
local mpi = require "msagen.mpi"
local ranks = require "evaluate.ranks"
local sys = require "msagen.sys"
local tensor = require "msagen.tensor"
local tree = require "train.tree"

local exchange = {}
exchange.__index = exchange

local PAUSE_MS, LOOK_NS = 20, 1000000000

--- One process alone.
function exchange.alone() return setmetatable({ rank = 0, count = 1, look = function() end }, exchange) end

--- The rank that this process is: of mpirun's, or alone.
-- @param folder for the ranks' locks, which all see
-- @param look function(), called again and again while a rank waits
function exchange.join(folder, look)
  if not ranks.launched() then
    local self = exchange.alone()
    self.look = look
    return self
  end
  if not mpi.start then
    fail "MPI: expected a msagen that was configured with --with-mpi, found one without"
  end
  local rank, count = ranks.start()
  ranks.live(folder, rank)
  ranks.size, ranks.whole = count, true
  return setmetatable({ rank = rank, count = count, folder = folder, look = look, met = {} }, exchange)
end

--- The images of a batch that a rank has: from (from 0) and to (exclusive).
function exchange:part(n, rank)
  rank = rank or self.rank
  return rank * n // self.count, (rank + 1) * n // self.count
end

-- A rank that holds no lock any more has ended; one that never held one may not have begun yet.
function exchange:look_at(rank)
  if ranks.lives(self.folder, rank) then self.met[rank] = true
  elseif self.met[rank] then
    fail("MPI: expected rank %d to live, found that it ended: --resume goes on from the last saved step", rank)
  end
end

-- The tensor of a transfer with another rank, when it is through.
function exchange:wait(transfer, rank)
  local looked = sys.monotonic_ns()
  while true do
    local made = transfer:done(PAUSE_MS)
    if made then return made end
    self.look()
    if sys.monotonic_ns() - looked > LOOK_NS then
      self:look_at(rank)
      looked = sys.monotonic_ns()
    end
  end
end

function exchange:send(rank, values) self:wait(mpi.post(rank, values), rank) end

function exchange:receive(rank, n) return self:wait(mpi.expect(rank, n), rank) end

-- What rank 0 has, on all.
function exchange:shared(values, n)
  if self.rank > 0 then return self:receive(0, n) end
  for rank = 1, self.count - 1 do self:send(rank, values) end
  return values
end

--- Join the sums of all ranks.
-- @param joins the batch's tree with this rank's sums  @param n floats of each
-- @return on every rank the batch's sum
function exchange:join_sums(joins, n)
  if self.count == 1 then return joins:total() end
  if self.rank > 0 then
    for _, sum in ipairs(joins:sums()) do self:send(0, sum.tensor) end
    return self:shared(nil, n)
  end
  for rank = 1, self.count - 1 do
    local from, to = self:part(joins.n, rank)
    for _, part in ipairs(joins:of(from, to)) do joins:add(part[1], part[2], self:receive(rank, n)) end
  end
  return self:shared(joins:total(), n)
end

-- Numbers as they pass in tensors: two floats' bits each.
local function packed(list)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = string.pack("<d", value) end
  return tensor.frombytes(table.concat(parts), "f32", { 2 * #list })
end

local function unpacked(values)
  local list, bytes = {}, values:tobytes()
  for at = 1, #bytes, 8 do list[#list + 1] = string.unpack("<d", bytes, at) end
  return list
end

--- All ranks' numbers, one after the other, on every rank.
-- @param list this rank's  @param counts function(rank) -> how many a rank has
function exchange:numbers(list, counts)
  if self.count == 1 then return list end
  local all, total = {}, 0
  for rank = 0, self.count - 1 do total = total + counts(rank) end
  if self.rank > 0 then
    if #list > 0 then self:send(0, packed(list)) end
    return total > 0 and unpacked(self:receive(0, 2 * total)) or {}
  end
  table.move(list, 1, #list, 1, all)
  for rank = 1, self.count - 1 do
    if counts(rank) > 0 then
      local theirs = unpacked(self:receive(rank, 2 * counts(rank)))
      table.move(theirs, 1, #theirs, #all + 1, all)
    end
  end
  if total > 0 then self:shared(packed(all)) end
  return all
end

--- The tree of a batch of n images.
function exchange.tree(n) return tree.new(n) end

--- The end of a training that went well: ranks but 0 end here.
function exchange:part_ways()
  if self.count == 1 then return end
  ranks.part(self.rank, self.count, self.folder)
end

--- The end of rank 0.
function exchange:finish(status)
  if self.count == 1 or self.rank > 0 then return end
  sys.remove_tree(self.folder)
  ranks.finish(status)
end

return exchange

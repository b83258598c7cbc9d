-- SPDX-License-Identifier: Apache-2.0
--- Which samples a step trains on: the list of samples in an order of its own for each epoch, cut into batches that
-- may reach into the next epoch. It follows from the seed, the batch and the number of samples alone.
local random = require "msagen.random"
local uses = require "train.uses"

local batches = {}

--- The order of an epoch, from 0: a list of the numbers 1 to n.
function batches.order(seed, epoch, n)
  local order = random.order(uses.key({ seed = seed, step = epoch, image = 0 }, "order"), n)
  for i, place in ipairs(order) do order[i] = place + 1 end
  return order
end

--- @param n how many samples there are  @return function(step from 0) -> the numbers, from 1, of its samples; the
-- epoch, from 0, that its first is of
function batches.of(seed, batch, n)
  local known = {}
  local function order(epoch)
    if not known[epoch] then
      known = { [epoch - 1] = known[epoch - 1], [epoch] = batches.order(seed, epoch, n) }
    end
    return known[epoch]
  end
  return function(step)
    local list = {}
    for i = 0, batch - 1 do
      local at = step * batch + i
      list[i + 1] = order(at // n)[at % n + 1]
    end
    return list, step * batch // n
  end
end

return batches

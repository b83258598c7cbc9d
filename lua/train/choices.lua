-- SPDX-License-Identifier: Apache-2.0
--- What pre-training chooses at random: patches that MAE removes and ShED moves, pairs that e-Mix mixes. Places are
-- those of patches, from 0, row by row; a key is { seed, step, image }.
local random = require "msagen.random"
local uses = require "train.uses"

local choices = {}

--- MAE: the places that are kept, floor(places (1 - share)) of them, those of the smallest numbers.
-- @return kept, in rising order; removed, of each place from 1 whether it is removed
function choices.masked(key, places, share)
  local count = math.tointeger(math.floor(places * (1 - share)))
  local kept, removed = random.order(uses.key(key, "masked"), places, count), {}
  for i = 1, places do removed[i] = true end
  for _, place in ipairs(kept) do removed[place + 1] = false end
  table.sort(kept)
  return kept, removed
end

--- ShED: of ceil(share places) random places each receives the embedding of the one before it, the first that of the
-- last: one cycle.
-- @return from, of each place from 1 the place whose embedding it has; moved, of each whether that is another
function choices.moved(key, places, share)
  local count = math.tointeger(math.ceil(share * places))
  local cycle, from, moved = random.order(uses.key(key, "moved"), places, count), {}, {}
  for i = 1, places do from[i], moved[i] = i - 1, false end
  for j, place in ipairs(cycle) do
    from[place + 1] = cycle[j > 1 and j - 1 or count]
    moved[place + 1] = count > 1
  end
  return from, moved
end

--- e-Mix: image i of a batch is mixed with its partner, which may be itself, of a permutation; its own share is
-- max(u, 1 - u), u from [0, 1): Beta(1, 1).
-- @param seed, step of the batch  @param batch how many images it has, on all ranks
-- @return shares, partners from 0, in the batch's order
function choices.mixed(seed, step, batch)
  local shares = {}
  for i = 1, batch do
    local u = random.unit(uses.key({ seed = seed, step = step, image = i - 1 }, "mix"), 0)
    shares[i] = math.max(u, 1 - u)
  end
  return shares, random.order(uses.key({ seed = seed, step = step, image = 0 }, "partner"), batch)
end

return choices

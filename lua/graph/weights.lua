-- SPDX-License-Identifier: Apache-2.0
--- Parts of a weight in another order, for operations that are made of others: of a weight that stays as it is a
-- constant, which is made when code is generated; of one that trains operations of the graph.

local deferred = require "import.deferred"

local weights = {}

local function is_made(w, live) return w.kind == "constant" or w.kind == "parameter" and not live(w) end

-- name.weight -> name.PART.weight
local function part_name(name, part) return (name:gsub("([^.]*)$", part .. ".%1")) end

-- A constant of what a weight is.
local function made(g, w, part, shape, make)
  local source = w.kind == "constant" and w.make or function() return w.tensor end
  return g:constant(part_name(w.name, part), shape, function() return make(deferred.value(source())) end,
    w.sources or deferred.sources(w.tensor))
end

--- A weight with its dimensions in another order, parted into `count` matrices of that shape, one below the other.
-- @param part what a constant's name says of its place @param live function(parameter) -> does it train
-- @return function(i) -> matrix number i, from 0
function weights.parts(g, w, part, order, count, shape, live)
  local all = { count * shape[1], shape[2] }
  if is_made(w, live) then
    return function(i)
      return made(g, w, count > 1 and ("%s_%d"):format(part, i) or part, shape, function(tensor)
        return tensor:permute(order):reshape(all):slice(1, i * shape[1], shape[1])
      end)
    end
  end
  local value = g:reshape(g:permute(w, { order = order }), { to = all })
  return function(i)
    return count > 1 and g:slice(value, { first = i * shape[1], count = shape[1] }) or value
  end
end

--- A list of numbers so many times over.
function weights.repeated(g, w, part, count, live)
  local n = w.shape[1]
  if is_made(w, live) then
    return made(g, w, part, { count * n }, function(tensor)
      local list = tensor:totable()
      for i = n + 1, count * n do list[i] = list[i - n] end
      return require "msagen.tensor".from(list, { count * n })
    end)
  end
  local list = {}
  for i = 1, count do list[i] = w end
  return g:reshape(g:concat(list), { to = { count * n } })
end

return weights

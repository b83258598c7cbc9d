-- SPDX-License-Identifier: Apache-2.0
--- What the backward pass finds of the forward pass: values that are kept, and values that are computed again from
-- those. What one block leaves to others is kept; of the rest, what `keep` says.

local kinds = require "graph.kinds"
local order = require "lower.plain.order"

local recompute = {}

local FORWARD = { encode = "encode_backward", decode = "decode_backward" }

-- Layers whose values are computed again together: those of a block.
local function unit_of(label) return label:match "^block_%d+" or label:match "^decoder_%d+" or label end

-- Where each operation is: its group.
local function places(groups)
  local of = {}
  for _, one in ipairs(groups) do
    for _, op in ipairs(one.ops) do of[op] = one end
  end
  return of
end

-- Values of the forward pass that other layers of it take: value -> true where one of another unit does, "within" where
-- only layers of the same unit do.
local function handed_on(groups, of)
  local set = {}
  for _, one in ipairs(groups) do
    for _, op in ipairs(one.ops) do
      for _, x in ipairs(op.inputs) do
        local home = of[x]
        if home and home ~= one and FORWARD[one.phase] then
          local within = unit_of(home.label) == unit_of(one.label) and home.phase == one.phase
          if not within then set[x] = true else set[x] = set[x] or "within" end
        end
      end
    end
  end
  return set
end

--- Put copies of what is computed again before what needs it.
-- @param groups of all phases @param keep function(value) -> is it kept? nil: all are @param wanted set of values that
-- are kept anyway
-- @return list of the operations that are copies
function recompute.apply(groups, keep, wanted)
  local copies = {}
  if not keep then return copies end
  local of = places(groups)
  local handed, of_unit = handed_on(groups, of), {}
  for _, one in ipairs(groups) do
    if not FORWARD[one.phase] then
      local ops = {}
      local function copy(value)
        local home = of[value]
        if not home or not FORWARD[home.phase] or wanted[value] or handed[value] == true or keep(value) then
          return value
        end
        local unit = unit_of(home.label)
        of_unit[unit] = of_unit[unit] or {}
        local made = of_unit[unit][value]
        if made then return made end
        made = {}
        for key, field in pairs(value) do made[key] = field end
        made.inputs, made.label, made.again = {}, one.label, true
        for i, x in ipairs(value.inputs) do made.inputs[i] = copy(x) end
        made.id = ("%d_again"):format(value.id)
        of_unit[unit][value] = made
        ops[#ops + 1], copies[#copies + 1] = made, made
        return made
      end
      for _, op in ipairs(one.ops) do
        for i, x in ipairs(op.inputs) do op.inputs[i] = copy(x) end
        ops[#ops + 1] = op
      end
      one.ops = ops
    end
  end
  return copies
end

-- Multiply-adds of a layer.
local function sum_of(one, macs_of)
  local sum = 0
  for _, op in ipairs(one.ops) do sum = sum + macs_of(op) end
  return sum
end

--- Values whose keeping saves most for each number that is kept, in that order: what one layer of a block leaves to the
-- next, which saves all of that layer; what products and attention give.
-- @return list of { value, saved = multiply-adds a number }
function recompute.candidates(groups, macs_of)
  local of, list = places(groups), {}
  local handed = handed_on(groups, of)
  for _, one in ipairs(groups) do
    for _, op in ipairs(FORWARD[one.phase] and one.ops or {}) do
      local macs = handed[op] == "within" and sum_of(one, macs_of) or handed[op] ~= true and macs_of(op) or 0
      if macs > 0 then
        list[#list + 1] = { value = op, saved = macs / kinds.product(op.shape), index = #list }
      end
    end
  end
  table.sort(list, function(a, b)
    if a.saved ~= b.saved then return a.saved > b.saved end
    return a.index < b.index
  end)
  return list
end

recompute.rows = order.rows

return recompute

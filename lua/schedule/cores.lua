-- SPDX-License-Identifier: Apache-2.0
--- Cores: the loops of a stage that have units are parted among the cores of a build, all of them by one split over
-- their costs, and cores meet where one needs what another has written, or writes what another may still read.

local cores = require "schedule.split"
local index = require "lower.index"

local parting = {}

-- The loops with units of a body, from the outside in.
local function loops_of(body, list)
  for _, node in ipairs(body) do
    if node.node == "each" and node.units then list[#list + 1] = node
    elseif node.node == "each" then loops_of(node.body, list)
    elseif node.node == "when" then
      loops_of(node.body, list)
      loops_of(node.other or {}, list)
    end
  end
  return list
end

local function count_of(node) return (node.to - node.from + node.by - 1) // node.by * (node.units.inner or 1) end

--- Part the units of a stage: each loop gets units.count and units.bounds. Loops of the same domain that say nothing of
-- their cost are parted alike.
function parting.split(stage, count)
  local loops, costs, even = loops_of(stage.body, {}), {}, true
  for _, node in ipairs(loops) do
    node.units.count = count_of(node)
    if node.units.cost then
      even = false
      for _ = 1, node.units.count do costs[#costs + 1] = node.units.cost end
    end
  end
  if even then return end
  local bounds, before = cores.split(#costs, count, function(i) return costs[i + 1] end), 0
  for _, node in ipairs(loops) do
    local units = node.units
    units.bounds = {}
    for c, b in ipairs(bounds) do units.bounds[c] = math.min(math.max(b - before, 0), units.count) end
    before = before + units.count
  end
end

local SHARED = { buffer = true, shared = true }

-- What of memory that cores share a stage reads and writes: storage -> the domain by whose units it does it, or "zero",
-- "all", or "any" where places do not follow the units.
local function accesses(kernels, stage)
  local all = { read = {}, written = {} }
  local function note(set, storage, how)
    if set[storage] and set[storage] ~= how then how = "any" end
    set[storage] = how
  end
  local function domain_of(view, units)
    if stage.who ~= "units" then return stage.who end
    local rows = view.rows
    if units and type(rows) == "table" and index.has(rows, units.variable) then
      return ("%s < %d by %d"):format(index.text(index.bind(rows, { [units.variable] = index.variable "unit" })),
        units.to,
        units.by)
    end
    return "any"
  end
  local function take(view, written, units)
    local storage = view.storage.over or view.storage
    if storage.kind == "local" then
      for _, one in ipairs(storage.of) do
        if SHARED[one.kind] or one.kind == "argument" then note(all.read, one, "any") end
      end
    elseif SHARED[storage.kind] or storage.kind == "argument" then
      note(all[written and "written" or "read"], storage, domain_of(view, units))
      if written then note(all.read, storage, domain_of(view, units)) end
    end
  end
  local function go(body, units)
    for _, node in ipairs(body) do
      if node.node == "call" then
        local proc, signature = node.proc, not node.proc and kernels:signature(node.name)
        for i, argument in ipairs(node.arguments) do
          if type(argument) == "table" and argument.storage then
            local parameter = proc and proc.parameters[i]
            take(argument, proc and proc.uses.written[parameter.storage] or signature and not signature[i].const, units)
          end
        end
      elseif node.node == "each" then go(node.body, node.units and node or units)
      elseif node.node == "when" then
        go(node.body, units)
        go(node.other or {}, units)
      elseif node.node == "copy" or node.node == "assign" then
        take(node.to, true, units)
        take(node.from, false, units)
      elseif node.node == "zero" then take(node.view, true, units)
      elseif node.node == "c" then
        for _, view in ipairs(node.views) do take(view, true, units) end
      end
    end
  end
  go(stage.body)
  return all
end

-- Whether cores must meet between two stages.
local function conflict(a, b)
  local function clash(written, other)
    for storage, how in pairs(written) do
      local there = other[storage]
      if there and (there ~= how or how == "any") then return true end
    end
    return false
  end
  return clash(a.written, b.read) or clash(b.written, a.read)
end

--- Barriers of a step: stage.barrier where cores meet before it, loop.meet_again where they do at the end of each trip
-- but the last. step.meets says whether there is any.
function parting.barriers(kernels, step)
  step.meets = false
  if step:alone() then return end
  local since = {}
  local function before(one, stage)
    local mine = accesses(kernels, one)
    for _, other in ipairs(since) do
      if conflict(other, mine) then
        stage.barrier, step.meets, since = true, true, {}
        break
      end
    end
    since[#since + 1] = mine
  end
  for _, stage in ipairs(step.stages) do
    -- What the first stage of a loop waits for is done before the loop; all wait where a piece of the weights comes.
    local begun = false
    for _, one in ipairs(stage.stages or { stage }) do
      if one.fetch then
        if not one.first then since = {} end
      else
        before(one, begun and one or stage)
        begun = true
      end
    end
    if stage.stages then
      local left = table.move(since, 1, #since, 1, {})
      for _, one in ipairs(stage.stages) do
        if one.fetch then break end
        local mine = accesses(kernels, one)
        for _, other in ipairs(left) do stage.meet_again = stage.meet_again or conflict(other, mine) end
        if one.barrier then break end
      end
      step.meets = step.meets or stage.meet_again or false
    end
  end
end

return parting

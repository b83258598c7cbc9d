-- SPDX-License-Identifier: Apache-2.0
--- The order in which a group's operations are done, and which of them share a loop: operations that give each row
-- from the same row of what they take are done a strip at a time, one after the other; each other operation is a stage
-- of its own. Sums over rows come as soon as what they take is whole, so that it need not be kept.

local kinds = require "graph.kinds"

local order = {}

local function set(list)
  local of = {}
  for _, one in ipairs(list) do of[one] = true end
  return of
end

local ROW_WISE = set { "act", "act_dx", "add", "layernorm", "layernorm_dx", "linear", "linear_dx", "multiply", "scale",
  "times" }
local SUMS = set { "column_sum", "layernorm_dgamma", "linear_dw" }
local OUTSIDE = set { "constant", "input", "parameter" }
-- Where a value is a part of another's rows, or has its rows in another shape, it is the same memory.
local PLACES = set { "reshape", "slice" }

order.OUTSIDE = OUTSIDE

--- Rows of a value.
function order.rows(value) return #value.shape == 1 and 1 or kinds.rows_of(value) end

--- Its width.
function order.width(value) return value.shape[#value.shape] end

--- Whether an operation's value is a view of its input's memory.
function order.is_view(op)
  if not PLACES[op.kind] then return false end
  local x = op.inputs[1]
  return op.kind == "slice" or order.width(op) == order.width(x)
    or order.rows(x) == 1 and order.rows(op) == 1
end

-- y of an addition may be a row for all, or the rows of one slice of several.
local function same_rows(op)
  local rows = order.rows(op)
  for i, x in ipairs(op.inputs) do
    local role, has = op.roles[i], order.rows(x)
    local for_all = has == 1 and (role == "y" or role == "gamma" or role == "beta" or role == "bias")
    local for_slices = op.kind == "add" and role == "y" and rows % has == 0
    if role ~= "w" and has ~= rows and not for_all and not for_slices then return false end
  end
  return true
end

-- Another shape of the same rows.
local function is_alias(op)
  local x = op.inputs[1]
  return op.kind == "reshape" and order.rows(op) == order.rows(x) and order.width(op) == order.width(x)
end

local function rearranges(op) return op.kind == "permute" or op.kind == "reshape" and not is_alias(op) end

--- Whether a value is never there: the one that takes it, and it alone, is where its elements go at once.
-- @param users value -> list of operations
function order.is_virtual(op, users)
  if not rearranges(op) or order.is_view(op) or op.wanted then return false end
  local list = users[op]
  local user = list and #list == 1 and list[1]
  local takes = user and rearranges(user) and user.kind ~= op.kind and not order.is_view(user)
  -- One that is never there itself has no place for another's elements.
  return takes and not order.is_virtual(user, users) or false
end

order.is_alias = is_alias

--- Whether it gives each row from the same row of what it takes.
function order.row_wise(op) return is_alias(op) or ROW_WISE[op.kind] == true and same_rows(op) end

-- Width of what would have to be kept for an operation that is done later: of its inputs that its stage makes, and
-- nobody needs behind it.
local function kept_for(op, stage_of, users, number)
  local sum = 0
  for i, x in ipairs(op.inputs) do
    local home = stage_of[x]
    if home and home == stage_of[op] and op.roles[i] ~= "w" then
      local needed = x.wanted
      for _, user in ipairs(users[x]) do
        needed = needed or stage_of[user] == nil or number[stage_of[user]] > number[home]
      end
      if not needed then sum = sum + order.width(x) end
    end
  end
  return sum
end

-- The one later stage of rows that alone takes a value, if it has the same rows; else nil.
local function later_home(op, stage_of, users, number)
  local home
  for _, user in ipairs(users[op] or {}) do
    local stage = stage_of[user]
    local fits = stage and stage.kind == "rows" and stage.rows == stage_of[op].rows and (not home or home == stage)
    if not fits then return nil end
    for i, x in ipairs(user.inputs) do
      if x == op and user.roles[i] == "w" then return nil end
    end
    home = stage
  end
  return home and number[home] > number[stage_of[op]] and home or nil
end

-- Operations sink to the stage that takes them, where less has to be kept so.
local function sink(stages, users)
  local stage_of, number = {}, {}
  for i, stage in ipairs(stages) do
    number[stage] = i
    for _, op in ipairs(stage.ops) do stage_of[op] = stage end
  end
  for i = #stages, 1, -1 do
    local stage = stages[i]
    if stage.kind == "rows" then
      for k = #stage.ops, 1, -1 do
        local op = stage.ops[k]
        local home = not op.wanted and later_home(op, stage_of, users, number)
        if home and order.width(op) >= kept_for(op, stage_of, users, number) then
          table.remove(stage.ops, k)
          table.insert(home.ops, 1, op)
          stage_of[op] = home
        end
      end
    end
  end
  local left = {}
  for _, stage in ipairs(stages) do
    if #stage.ops > 0 then left[#left + 1] = stage end
  end
  return left
end

--- The stages of a list of operations in SSA order: { kind = "rows", rows, ops } or { kind = the operation's, ops = {
-- op } }. Views, and what is never there, are in none.
-- @param ops the operations of a group @param users value -> list of operations
function order.stages(ops, users)
  local waiting, done, stages = {}, {}, {}
  for _, op in ipairs(ops) do waiting[op] = true end
  local function ready(op, besides)
    for _, x in ipairs(op.inputs) do
      if waiting[x] and not (besides and besides[x]) then return false end
    end
    return true
  end
  local function finish(list)
    for _, op in ipairs(list) do waiting[op], done[op] = nil, true end
  end
  local function views()
    for _, op in ipairs(ops) do
      if waiting[op] and (order.is_view(op) or order.is_virtual(op, users)) and ready(op) then finish { op } end
    end
  end
  local function take(wanted)
    for _, op in ipairs(ops) do
      if waiting[op] and ready(op) and wanted(op) then
        if order.row_wise(op) then
          local stage, mine = { kind = "rows", rows = order.rows(op), ops = {} }, {}
          for _, other in ipairs(ops) do
            if waiting[other] and order.row_wise(other) and order.rows(other) == stage.rows and ready(other, mine)
              and not order.needs_whole(other, mine) then
              stage.ops[#stage.ops + 1], mine[other] = other, true
            end
          end
          stages[#stages + 1] = stage
          finish(stage.ops)
        else
          stages[#stages + 1] = { kind = op.kind, ops = { op }, rows = order.rows(op) }
          finish { op }
        end
        views()
        return true
      end
    end
    return false
  end
  views()
  while next(waiting) do
    while take(function(op) return SUMS[op.kind] end) do end
    if next(waiting) and not take(function() return true end) then error "plain: operations wait for each other" end
  end
  return sink(stages, users)
end

-- Weights that are values have to be whole.
function order.needs_whole(op, mine)
  for i, x in ipairs(op.inputs) do
    if (op.roles[i] == "w" or order.rows(x) ~= order.rows(op)) and mine[x] then return true end
  end
  return false
end

return order

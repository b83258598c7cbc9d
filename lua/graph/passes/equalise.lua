-- SPDX-License-Identifier: Apache-2.0
--- Equalise: columns of what follows a layer norm are multiplied by powers of two, and the norm's gamma and beta
-- divided by them, so that a few large channels do not leave the others few of a row's 8 bits. The function stays the
-- same, and in float32 each bit does. After SmoothQuant (Xiao et al. 2023), but by what weights alone tell: for
-- column j
--   f = 2^round(1/2 log2((|beta| + 4 |gamma|) / largest |w[n][j]|)), divided by the power of two nearest their median.
-- Of several maps that take the norm those with the most outputs say it, so that banks whose adapters differ have the
-- same f.

local group = require "lower.group"
local parts = require "lower.parts"

local input = group.input

local MOST = 32 -- of an exponent

-- What takes a norm: linear maps, also by way of gathered rows. @return maps, gathers; nil where anything else does
local function takers_of(value, users, maps, gathers)
  for _, op in ipairs(users[value]) do
    if op.kind == "linear" and input(op, "x") == value and not op.value and not input(op, "start") then
      maps[#maps + 1] = op
    elseif op.kind == "gather" and input(op, "x") == value then
      gathers[#gathers + 1] = op
      if not takers_of(op, users, maps, gathers) then return nil end
    else return nil end
  end
  return maps, gathers
end

local function is_weight(value) return value and (value.kind == "parameter" or value.kind == "constant") end

-- Maps of the most outputs.
local function widest(maps)
  local most, list = 0, {}
  for _, op in ipairs(maps) do most = math.max(most, input(op, "w").shape[1]) end
  for _, op in ipairs(maps) do
    if input(op, "w").shape[1] == most then list[#list + 1] = op end
  end
  return list
end

local function rounded(x) return math.floor(x + 0.5) end

-- The exponent of each column's f. Where nothing is to be said, as of a column of zeros, it is the median's.
local function exponents_of(norm, maps)
  local gamma, beta = parts.tensor_of(input(norm, "gamma")):totable(), parts.tensor_of(input(norm, "beta")):totable()
  local most, seen = {}, {}
  for _, op in ipairs(widest(maps)) do
    local w = input(op, "w")
    if not seen[w] then
      seen[w] = true
      for j, value in ipairs(require "import.deferred".value(parts.tensor_of(w)):columns_most()) do
        most[j] = math.max(most[j] or 0, value)
      end
    end
  end
  local list, known = {}, {}
  for j = 1, #gamma do
    local size = (math.abs(beta[j]) + 4 * math.abs(gamma[j])) / most[j]
    if size > 0 and size < math.huge then
      list[j] = rounded(0.5 * math.log(size, 2))
      known[#known + 1] = list[j]
    end
  end
  table.sort(known)
  local median = known[(#known + 1) // 2] or 0
  for j = 1, #gamma do list[j] = math.max(-MOST, math.min(MOST, (list[j] or median) - median)) end
  return list
end

local function negative(list)
  local out = {}
  for i, n in ipairs(list) do out[i] = -n end
  return out
end

-- A weight whose columns are scaled, by the weight's own name: one, however many operations take it.
local function scaled(made, value, exponents)
  if not made[value] then
    local function of(tensor) return require "import.deferred".value(tensor):columns_scaled(exponents) end
    made[value] = { kind = "constant", name = value.name, shape = value.shape, type = value.type, inputs = {},
      roles = {}, counted = false, label = value.label,
      make = function() return of(parts.tensor_of(value)) end,
      rows = #value.shape == 2 and function(first, count) return of(parts.tensor_of(value, first, count)) end or nil,
      sources = parts.sources_of(value), equalised = exponents }
  end
  return made[value]
end

local function put(op, role, value)
  for i, name in ipairs(op.roles) do
    if name == role then op.inputs[i] = value end
  end
end

-- Values in an order in which each follows what it is made of.
local function ordered(graph, made)
  local values, placed = {}, {}
  local function place(value)
    if placed[value] then return end
    placed[value] = true
    values[#values + 1] = value
    value.id = #values
  end
  for _, op in ipairs(graph.values) do
    for _, from in ipairs(op.inputs) do
      if made[from] then place(from) end
    end
    place(op)
  end
  graph.values = values
end

--- @param graph its values are changed @param chosen function(label) -> are norms of that layer equalised
-- @return graph, and a list of { label, norm = name of gamma, exponents }
return function(graph, chosen)
  local users, found, made = group.users(graph), {}, {}
  for _, norm in ipairs(graph.values) do
    local maps, gathers = nil, nil
    if norm.kind == "layernorm" and chosen(norm.label) and is_weight(input(norm, "gamma"))
      and is_weight(input(norm, "beta")) then
      maps, gathers = takers_of(norm, users, {}, {})
    end
    local whole = maps and #maps > 0
    for _, op in ipairs(maps or {}) do whole = whole and is_weight(input(op, "w")) end
    for _, op in ipairs(gathers or {}) do whole = whole and (not input(op, "fill") or is_weight(input(op, "fill"))) end
    if whole then
      local exponents, by = exponents_of(norm, maps), {}
      local back, forward = negative(exponents), {}
      put(norm, "gamma", scaled(by, input(norm, "gamma"), back))
      put(norm, "beta", scaled(by, input(norm, "beta"), back))
      for _, op in ipairs(gathers) do
        if input(op, "fill") then put(op, "fill", scaled(by, input(op, "fill"), back)) end
      end
      for _, op in ipairs(maps) do put(op, "w", scaled(forward, input(op, "w"), exponents)) end
      for _, set in ipairs { by, forward } do
        for _, value in pairs(set) do made[value] = true end
      end
      found[#found + 1] = { label = norm.label, norm = input(norm, "gamma").name, exponents = exponents }
    end
  end
  ordered(graph, made)
  return graph, found
end

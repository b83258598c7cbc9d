-- SPDX-License-Identifier: Apache-2.0
--- Weights of a group of operations: each parameter or constant that one names becomes a part of the step's segment,
-- laid out as its kernel reads it, under a role that says where in the layer it is.

local deferred = require "import.deferred"
local segment = require "lower.segment"

local Parts = {}
Parts.__index = Parts

local parts = {}

local function prefix_of(a, b)
  local common = {}
  local right = b:gmatch "[^.]+"
  for word in a:gmatch "[^.]+" do
    if right() ~= word then break end
    common[#common + 1] = word
  end
  return #common > 0 and table.concat(common, ".") .. "." or ""
end

local function is_weight(value) return value.kind == "parameter" or value.kind == "constant" end

-- A beginning so short that what is left of a name begins with a letter.
local function with_letters(prefix, ops)
  for _, op in ipairs(ops) do
    for _, input in ipairs(op.inputs) do
      while is_weight(input) and prefix ~= "" and input.name:sub(1, #prefix) == prefix
        and not input.name:sub(#prefix + 1):match "^%a" do
        prefix = prefix:match "^(.*%.)[^.]+%.$" or ""
      end
    end
  end
  return prefix
end

--- @param segment of the step @param ops the group's operations, whose names' common beginning no role repeats
function parts.new(seg, ops)
  local prefix
  for _, op in ipairs(ops) do
    for _, input in ipairs(op.inputs) do
      if is_weight(input) and input.name:find(".", 1, true) then
        prefix = prefix and prefix_of(prefix, input.name) or input.name:match "^(.*%.)[^.]+%.[^.]+$" or ""
      end
    end
  end
  return setmetatable({ segment = seg, prefix = with_letters(prefix or "", ops), known = {} }, Parts)
end

--- A role: what a tensor's name says beyond the layer's.
function Parts:role(value)
  local name = value.name or error "parts: a weight without a name"
  if name:sub(1, #self.prefix) == self.prefix then name = name:sub(#self.prefix + 1) end
  return (name:gsub("%.weight$", ""):gsub("%.bias$", "_bias"):gsub("[^%w]+", "_"):lower())
end

--- The tensor of a weight, or `count` of its rows from the first.
local function tensor_of(value, first, count)
  if first and value.rows then return value.rows(first, count) end
  local tensor = value.kind == "parameter" and value.tensor or value.make()
  return first and tensor:slice(1, first, count) or tensor
end

local function sources_of(value, first, count)
  if value.kind == "parameter" then return segment.of(deferred.sources(value.tensor, first, count)) end
  return segment.of(value.sources)
end

Parts.tensor_of, Parts.sources_of, Parts.is_weight_value = tensor_of, sources_of, is_weight
parts.tensor_of, parts.sources_of = tensor_of, sources_of

local function once(self, role, add)
  if not self.known[role] then
    add()
    self.known[role] = true
  end
  return role
end

--- A weight [N,...] as panels [K,N].
function Parts:panels(value)
  local N = value.shape[1]
  local K = 1
  for i = 2, #value.shape do K = K * value.shape[i] end
  return once(self, self:role(value), function()
    self.segment:panels(self:role(value), K, N, function()
      return tensor_of(value):reshape { N, K }:transpose():rename(value.name)
    end, sources_of(value))
  end)
end

--- A weight [N,...] of `precision` as a product takes it. @return its role
function Parts:operand(value, precision)
  if precision ~= "int8" then return self:panels(value) end
  local N = value.shape[1]
  local K = 1
  for i = 2, #value.shape do K = K * value.shape[i] end
  return self:whole_numbers(self:role(value), N, 0, K, value, function()
    return tensor_of(value):reshape { N, K }:rename(value.name)
  end)
end

--- Columns `first` to first + count - 1 of a matrix [N,...] as whole numbers, whose scales are of all columns.
-- @param make gives it
function Parts:whole_numbers(role, N, first, count, value, make)
  return once(self, role, function()
    self.segment:panels_int8(role, N, first, count, function() return deferred.value(make()) end, sources_of(value))
  end)
end

--- A vector.
function Parts:vector(value)
  local n = value.shape[#value.shape]
  return once(self, self:role(value), function()
    self.segment:vector(self:role(value), n, function() return tensor_of(value):reshape { n }:rename(value.name) end,
      sources_of(value))
  end)
end

--- Gamma and beta of a layer norm.
function Parts:norm(gamma, beta)
  return once(self, self:role(gamma), function()
    self.segment:norm(self:role(gamma), { weight = tensor_of(gamma), bias = tensor_of(beta) })
  end)
end

--- One head of a weight [heads d,K] as panels [K,d].
function Parts:head(value, h, d, precision)
  local role = ("%s_%d"):format(self:role(value), h)
  if precision == "int8" then
    return self:whole_numbers(role, d, 0, value.shape[2], value, function()
      return tensor_of(value, h * d, d):rename(value.name)
    end)
  end
  return once(self, role, function()
    self.segment:panels(role, value.shape[2], d, function()
      return tensor_of(value, h * d, d):transpose():rename(value.name)
    end, sources_of(value))
  end)
end

--- A weight [heads d,K] as panels [K,d] of each head. @return { first = role of the first head's, step = elements to
-- the next }
function Parts:by_head(value, heads, d, precision)
  local base = self:role(value)
  for h = 0, heads - 1 do self:head(value, h, d, precision) end
  local first = base .. "_0"
  return { first = first, step = heads > 1 and self.segment:elements_between(first, base .. "_1") or 0 }
end

--- A vector of heads d elements as a row a head, filled up to whole panels.
function Parts:rows_of_heads(value, heads, d)
  return once(self, self:role(value), function()
    self.segment:rows(self:role(value), heads, d, (d + 15) // 16 * 16, function()
      return tensor_of(value):reshape { heads, d }:rename(value.name)
    end, sources_of(value))
  end)
end

--- A vector of heads d elements as a row of whole numbers a head.
function Parts:whole_rows_of_heads(value, heads, d)
  return once(self, self:role(value), function()
    self.segment:rows_int8(self:role(value), heads, d, function()
      return tensor_of(value):reshape { heads, d }:rename(value.name)
    end, sources_of(value))
  end)
end

--- Outputs `first` to first + n - 1 of a weight [N,...] as panels.
function Parts:columns(value, role, first, n, precision)
  local K = 1
  for i = 2, #value.shape do K = K * value.shape[i] end
  if precision == "int8" then
    return self:whole_numbers(role, n, 0, K, value, function()
      return tensor_of(value, first, n):reshape { n, K }:rename(value.name)
    end)
  end
  return once(self, role, function()
    self.segment:panels(role, K, n, function()
      return tensor_of(value, first, n):reshape { n, K }:transpose():rename(value.name)
    end, sources_of(value, first, n))
  end)
end

--- Inputs `first` to first + n - 1 of a weight [N,K], as panels.
function Parts:inputs(value, role, first, n, precision)
  if precision == "int8" then
    return self:whole_numbers(role, value.shape[1], first, n, value, function()
      return tensor_of(value):rename(value.name)
    end)
  end
  return once(self, role, function()
    self.segment:panels(role, n, value.shape[1], function()
      return tensor_of(value):slice(2, first, n):transpose():rename(value.name)
    end, sources_of(value))
  end)
end

--- Numbers `first` to first + n - 1 of a vector.
function Parts:range(value, role, first, n)
  return once(self, role, function()
    self.segment:vector(role, n, function() return tensor_of(value):slice(1, first, n):rename(value.name) end,
      sources_of(value))
  end)
end

--- What is laid out by hand: add() adds a part of that role.
function Parts:other(role, add) return once(self, role, add) end

return parts

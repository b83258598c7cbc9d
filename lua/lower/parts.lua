-- SPDX-License-Identifier: Apache-2.0
--- Weights of a group of operations: each parameter or constant that one names becomes a part of the step's segment,
-- laid out as its kernel reads it, under a role that says where in the layer it is.

local deferred = require "import.deferred"
local reference = require "msagen.reference"
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

-- A matrix [K,N] as panels, of floats or in bf16. @param make gives it
local function panels(self, precision, role, K, N, make, from)
  return once(self, role, function()
    self.segment[precision == "bf16" and "panels_bf16" or "panels"](self.segment, role, K, N, make, from)
  end)
end

--- A weight [N,...] of `precision`, float32 unless said, as panels [K,N] that a product takes. @return its role
function Parts:panels(value, precision)
  local N = value.shape[1]
  local K = 1
  for i = 2, #value.shape do K = K * value.shape[i] end
  local function matrix() return tensor_of(value):reshape { N, K } end
  if precision == "int8" then
    return self:whole_numbers(self:role(value), N, 0, K, value, function() return matrix():rename(value.name) end)
  end
  return panels(self, precision, self:role(value), K, N, function() return matrix():transpose():rename(value.name) end,
    sources_of(value))
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
  return panels(self, precision, role, value.shape[2], d, function()
    return tensor_of(value, h * d, d):transpose():rename(value.name)
  end, sources_of(value))
end

--- A weight [heads d,K] as panels [K,d] of each head. @return { first = role of the first head's, step = elements to
-- the next }
function Parts:by_head(value, heads, d, precision)
  local base = self:role(value)
  for h = 0, heads - 1 do self:head(value, h, d, precision) end
  local first = base .. "_0"
  return { first = first, step = heads > 1 and self.segment:elements_between(first, base .. "_1") or 0 }
end

--- A vector of heads d elements as a row a head, filled up to whole panels; in int8 as a row of whole numbers, in bf16
-- as floats of it, neighbours turned.
function Parts:rows_of_heads(value, heads, d, precision)
  local role = self:role(value)
  local function matrix() return tensor_of(value):reshape { heads, d } end
  return once(self, role, function()
    if precision == "int8" then
      return self.segment:rows_int8(role, heads, d, function() return matrix():rename(value.name) end,
        sources_of(value))
    end
    self.segment:rows(role, heads, d, (d + 15) // 16 * 16, function()
      local rows = matrix()
      if precision == "bf16" then rows = reference.bf16(deferred.value(rows)) end
      return rows:rename(value.name)
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
  return panels(self, precision, role, K, n, function()
    return tensor_of(value, first, n):reshape { n, K }:transpose():rename(value.name)
  end, sources_of(value, first, n))
end

--- Inputs `first` to first + n - 1 of a weight [N,K], as panels.
function Parts:inputs(value, role, first, n, precision)
  if precision == "int8" then
    return self:whole_numbers(role, value.shape[1], first, n, value, function()
      return tensor_of(value):rename(value.name)
    end)
  end
  return panels(self, precision, role, n, value.shape[1], function()
    return tensor_of(value):slice(2, first, n):transpose():rename(value.name)
  end, sources_of(value))
end

--- Tap `t` of a convolution's weight [N,K,side,side].
function Parts:tap(value, t, precision)
  local role, N, K, side = ("%s_%d"):format(self:role(value), t), table.unpack(value.shape)
  if precision == "int8" then
    return self:whole_numbers(role, N, t * K, K, value, function()
      return tensor_of(value):permute { 1, 3, 4, 2 }:reshape { N, side * side * K }:rename(value.name)
    end)
  end
  return panels(self, precision, role, K, N, function()
    return tensor_of(value):slice(3, t // side, 1):slice(4, t % side, 1):reshape { N, K }:transpose()
      :rename(value.name)
  end, sources_of(value))
end

--- Place `sub`, from 0, of a transposed convolution's weight [K,N,2,2].
function Parts:place(value, sub, precision)
  local role, K, N = ("%s_%d"):format(self:role(value), sub), value.shape[1], value.shape[2]
  local function matrix() return tensor_of(value):slice(3, sub // 2, 1):slice(4, sub % 2, 1):reshape { K, N } end
  if precision == "int8" then
    return self:whole_numbers(role, N, 0, K, value, function() return matrix():transpose():rename(value.name) end)
  end
  return panels(self, precision, role, K, N, function() return matrix():rename(value.name) end, sources_of(value))
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

-- SPDX-License-Identifier: Apache-2.0
--- What the computing halves of networks say often: operations of a graph on declared parameters.
-- Where parameters train, what builds compute of them when code is generated is computed by operations instead, which
-- have gradients: of the parts of a network that train alone, so that the rest stays as builds have it.

local deferred = require "import.deferred"

local Terms = {}
Terms.__index = Terms

local terms = {}

--- @param g a graph (graph/ssa.lua) @param model a model description with tensors
-- @param live function(SAM's name): does the tensor train? nil where none does
-- @return its operations by declared parameters
function terms.of(g, model, live) return setmetatable({ g = g, model = model, live = live, seen = {} }, Terms) end

--- Does one of some declared tensors train? Those that are nil do not.
function Terms:trains(...)
  for i = 1, self.live and select("#", ...) or 0 do
    local declaration = select(i, ...)
    if declaration and self.live(declaration.name) then return true end
  end
  return false
end

--- Is a map computed apart from the pair that adapts it, since one of the three trains?
function Terms:unmerged(map)
  local pair = map.pair
  return pair and self:trains(map.weight, pair.a, pair.b) or false
end

-- What the value of a declaration is of: a weight without its pair, and the pair, as the file has them.
local function tensor_of(self, declaration, raw)
  return raw and self.model.unfolded[declaration.name] or self.model.tensor[declaration.name]
end

--- The value of a declaration: one, however often it is asked for. nil of nil, and of what a build does without.
-- @param raw true for what is not folded, where import would fold it
function Terms:parameter(declaration, raw)
  if not declaration or (self.model.without and self.model.without[declaration.name]) then return nil end
  local tensor = tensor_of(self, declaration, raw)
  if tensor and not self.seen[declaration] then self.seen[declaration] = self.g:parameter(declaration, tensor) end
  return self.seen[declaration]
end

-- The weight of a map as a matrix.
local function matrix(self, declaration, raw)
  local w = self:parameter(declaration, raw)
  if #w.shape == 2 then return w end
  local tensor = w.tensor
  if self:trains(declaration) then return self.g:reshape(w, { to = { w.shape[1], w.shape[2] } }) end
  return self.g:constant(w.name, { w.shape[1], w.shape[2] }, function()
    return tensor:reshape { tensor.shape[1], tensor.shape[2] }
  end, deferred.sources(tensor))
end

-- y + B (A x) / rank.
local function with_pair(self, y, x, a, b)
  return self.g:add(y, self.g:linear(self.g:linear(x, a), b), { scale = 1 / b.shape[2] })
end

--- A linear map, of a 1 x 1 convolution's tensor too. @param start what its sums begin with, or nil
function Terms:linear(x, map, start)
  local apart = self:unmerged(map)
  local y = self.g:linear(x, matrix(self, map.weight, apart), self:parameter(map.bias), start)
  if not apart then return y end
  return with_pair(self, y, x, self:parameter(map.pair.a, true), self:parameter(map.pair.b, true))
end

--- Members `first` to first + count - 1 of the first dimension of a tensor that trains or of one that does not.
-- @param name of a constant
function Terms:part(declaration, name, first, count, raw)
  if not declaration then return nil end
  local tensor = tensor_of(self, declaration, raw)
  if not tensor then return nil end
  if self:trains(declaration) then
    return self.g:slice(self:parameter(declaration, raw), { first = first, count = count })
  end
  local shape = table.move(tensor.shape, 1, #tensor.shape, 1, {})
  shape[1] = count
  return self.g:constant(name, shape, function() return tensor:slice(1, first, count) end,
    deferred.sources(tensor, first, count), function(from, n) return tensor:slice(1, first + from, n) end)
end

--- Outputs `first` to first + count - 1 of a linear map. @param name of the map that they are
function Terms:outputs(x, map, name, first, count)
  local apart = self:unmerged(map)
  local y = self.g:linear(x, self:part(map.weight, name .. ".weight", first, count, apart),
    self:part(map.bias, name .. ".bias", first, count))
  if not apart then return y end
  -- The pair is of the first and the last of three such parts.
  local place, a, b = first // count, map.pair.a, map.pair.b
  if place == 1 then return y end
  local rank, half = self.model.unfolded[b.name].shape[2], place // 2
  return with_pair(self, y, x, self:part(a, name .. ".lora_A", half * rank, rank, true),
    self:part(b, name .. ".lora_B", half * count, count, true))
end

function Terms:norm(x, norm)
  return self.g:layernorm(x, self:parameter(norm.weight), self:parameter(norm.bias), { eps = norm.eps })
end

return terms

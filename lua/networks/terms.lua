-- SPDX-License-Identifier: Apache-2.0
--- What the computing halves of networks say often: operations of a graph on declared parameters.

local deferred = require "import.deferred"

local Terms = {}
Terms.__index = Terms

local terms = {}

--- @param g a graph (graph/ssa.lua) @param model a model description with tensors @return its operations by declared
-- parameters
function terms.of(g, model) return setmetatable({ g = g, model = model, seen = {} }, Terms) end

--- The value of a declaration: one, however often it is asked for. nil of nil, and of what a build does without.
function Terms:parameter(declaration)
  if not declaration or (self.model.without and self.model.without[declaration.name]) then return nil end
  local tensor = self.model.tensor[declaration.name]
  if tensor and not self.seen[declaration] then self.seen[declaration] = self.g:parameter(declaration, tensor) end
  return self.seen[declaration]
end

--- A linear map, of a 1 x 1 convolution's tensor too. @param start what its sums begin with, or nil
function Terms:linear(x, map, start)
  local w = self:parameter(map.weight)
  if #w.shape > 2 then
    local tensor = w.tensor
    w = self.g:constant(w.name, { w.shape[1], w.shape[2] }, function()
      return tensor:reshape { tensor.shape[1], tensor.shape[2] }
    end, deferred.sources(tensor))
  end
  return self.g:linear(x, w, self:parameter(map.bias), start)
end

--- Outputs `first` to first + count - 1 of a linear map. @param name of the map that they are
function Terms:outputs(x, map, name, first, count)
  local function part(declaration, last)
    local value = self:parameter(declaration)
    if not value then return nil end
    local shape = table.move(value.shape, 1, #value.shape, 1, {})
    shape[1] = count
    local tensor = value.tensor
    return self.g:constant(name .. last, shape, function() return tensor:slice(1, first, count) end,
      deferred.sources(tensor, first, count), function(from, n) return tensor:slice(1, first + from, n) end)
  end
  return self.g:linear(x, part(map.weight, ".weight"), part(map.bias, ".bias"))
end

function Terms:norm(x, norm)
  return self.g:layernorm(x, self:parameter(norm.weight), self:parameter(norm.bias), { eps = norm.eps })
end

return terms

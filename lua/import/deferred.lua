-- SPDX-License-Identifier: Apache-2.0
-- A tensor that is computed each time it is asked for and kept by nobody: a model whose weights are all folded takes no
-- more memory than one whose weights are views of its file.
--
-- It answers name, dtype, shape and numel() itself. slice() of its first dimension computes those rows only; every
-- other method computes it whole, so whatever a method returns is a plain tensor. It is no userdata: C functions take
-- what :value() gives.

local deferred = {}

local Deferred = {}

function Deferred:numel()
  local n = 1
  for _, size in ipairs(self.shape) do n = n * size end
  return n
end

--- The plain tensor.
function Deferred:value() return self.rows(0, self.shape[1]):rename(self.name) end

function Deferred:slice(dimension, start, length)
  if dimension ~= 1 or start < 0 or length < 0 or start + length > self.shape[1] then
    return self:value():slice(dimension, start, length)
  end
  return self.rows(start, length):rename(self.name)
end

local forwards = {}

local metatable = {}

function metatable:__index(method)
  if Deferred[method] then return Deferred[method] end
  local forward = forwards[method]
  if not forward then
    forward = function(this, ...)
      local tensor = this:value()
      return tensor[method](tensor, ...)
    end
    forwards[method] = forward
  end
  return forward
end

--- like: a tensor of the same name and shape; rows(first, count): those rows as a plain f32 tensor;
-- sources(first, count): the names of the tensors that those rows are made of.
function deferred.new(like, rows, sources)
  return setmetatable({ name = like.name, dtype = "f32", shape = like.shape, rows = rows, from = sources }, metatable)
end

--- Names of the tensors that a tensor of either kind, or count of its rows from the first, is made of.
function deferred.sources(tensor, first, count)
  if getmetatable(tensor) ~= metatable then return { tensor.name } end
  return tensor.from(first or 0, count or tensor.shape[1])
end

--- A plain tensor of either kind.
function deferred.value(tensor)
  return getmetatable(tensor) == metatable and tensor:value() or tensor
end

return deferred

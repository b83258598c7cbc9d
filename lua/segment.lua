-- SPDX-License-Identifier: Apache-2.0
--- The layout of one layer's weights: parts at fixed places, in the order in which the layer reads them.
-- Offsets are in floats from the segment's start. Layers of the same shape get the same layout, so they share kernels.
local segment = {}
segment.__index = segment

local function round16(n) return (n + 15) // 16 * 16 end

function segment.new() return setmetatable({ parts = {}, at = {}, size = 0 }, segment) end

local function add(self, role, floats, part)
  assert(not self.at[role], role)
  self.at[role], part.role, part.offset, part.floats = self.size, role, self.size, floats
  self.parts[#self.parts + 1] = part
  self.size = self.size + round16(floats)
  return part.offset
end

--- A matrix [K,N] in panels of 16 columns. `make` gives the tensor when the blob is written.
function segment:panels(role, K, N, make) return add(self, role, (N + 15) // 16 * 16 * K, { kind = "panels", K = K, N = N, make = make }) end

--- A vector of n floats, filled up with zeros to a multiple of 16.
function segment:vector(role, n, make) return add(self, role, round16(n), { kind = "vector", n = n, make = make }) end

--- A matrix [R,N], rows `stride` apart.
function segment:rows(role, R, N, stride, make) return add(self, role, R * stride, { kind = "rows", R = R, N = N, stride = stride, make = make }) end

--- A linear map's weight [N,K] as panels and its bias, zeros where there is none.
function segment:linear(role, weight, bias)
  local N, K = weight.shape[1], weight:numel() // weight.shape[1]
  self:panels(role, K, N, function() return weight:reshape { N, K }:transpose():rename(weight.name) end)
  if bias then self:vector(role .. "_bias", N, function() return bias end) end
  return N, K
end

--- Gamma and beta of a layer norm, beta a multiple of 16 behind.
function segment:norm(role, params)
  local n = params.weight:numel()
  self:vector(role, n, function() return params.weight end)
  self:vector(role .. "_beta", n, function() return params.bias end)
  return n
end

--- Write the parts to a blob whose segment has been begun.
function segment:write(blob)
  local first
  for _, part in ipairs(self.parts) do
    local tensor = part.make()
    local offset
    if part.kind == "panels" then offset = blob:panels(tensor)
    elseif part.kind == "vector" then offset = blob:vector(tensor, round16(part.n))
    else offset = blob:rows(tensor, part.stride) end
    first = first or offset
    if offset - first ~= part.offset * 4 then error(("segment part %s lies at %d, planned at %d"):format(part.role, offset - first, part.offset * 4)) end
  end
  return first
end

return segment

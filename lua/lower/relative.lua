-- SPDX-License-Identifier: Apache-2.0
--- Decomposed relative positions (Li et al. 2022): products of queries with tables of rows and columns, which attention
-- adds to its logits. A table lies reversed, [d, 2 side - 1]: the keys of a query at y are its columns from side - 1 -
-- y on.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local tensor = require "msagen.tensor"

local round16 = kernels.round16

local Relative = {}
Relative.__index = Relative

local relative = {}

local function reversed(t)
  local count, d, out = t.shape[1], t.shape[2], {}
  for j = 0, d - 1 do
    for i = count - 1, 0, -1 do out[#out + 1] = t:get(i, j) end
  end
  return tensor.from(out, { d, count }):rename(t.name)
end

-- Floats from one row of a table to the next: the last query's keys are read in whole vectors.
local function width_of(side) return round16(side - 1 + round16(side)) end

--- The tables of an attention, nil where it has none. @param height, width places of a set's grid @param ldq elements
-- between queries
function relative.of(layer, op, height, width, ldq)
  local tables = { layers.input(op, "rel_h"), layers.input(op, "rel_w") }
  if not tables[1] then return nil end
  local self = setmetatable({ layer = layer, height = height, width = width, ldq = ldq, roles = {} }, Relative)
  for i, value in ipairs(tables) do
    local side = i == 1 and height or width
    local role = layer.parts:role(value)
    self.roles[i] = layer.parts:other(role, function()
      layer.segment:rows(role, value.shape[2], 2 * side - 1, width_of(side), function()
        return reversed(layer.parts.tensor_of(value))
      end, layer.parts.sources_of(value))
    end)
  end
  self.d = tables[1].shape[2]
  return self
end

--- The same of tables that are there as views, reversed, rows as relative.width says. @param views of rows, of columns
function relative.on(K, views, height, width, d, ldq)
  return setmetatable({ layer = { K = K }, tables = views, height = height, width = width, ldq = ldq, d = d }, Relative)
end

relative.width = width_of
relative.reversed = reversed

local function table_of(self, i) return self.tables and self.tables[i] or self.layer.step:part(self.roles[i]) end

--- The products of queries whose first is in row y, `count` rows of `columns` each.
function Relative:products(body, q, rh, rw, y, count, columns)
  local K, ldr = self.layer.K, rh.storage.stride
  local by_row = K:gemm { M = columns, N = self.height, K = self.d, lda = self.ldq, ldb = width_of(self.height),
    bps = 16,
    ldc = ldr }
  local by_column = K:gemm { M = count, N = self.width, K = self.d, lda = columns * self.ldq,
    ldb = width_of(self.width), bps = 16, ldc = columns * ldr }
  body:each({ variable = "r", to = count }, function(inner, r)
    inner:call(by_row, q + r * (columns * self.ldq), table_of(self, 1) + (self.height - 1 - (y + r)),
      rh + r * (columns * ldr))
  end)
  body:each({ variable = "c", to = columns }, function(inner, c)
    inner:call(by_column, q + c * self.ldq, table_of(self, 2) + (self.width - 1 - c), rw + c * ldr)
  end)
end

return relative

-- SPDX-License-Identifier: Apache-2.0
--- The sets of an attention, window by window or all rows, and what forward and backward of it share: where a set's
-- rows lie, its tables of relative positions, loops over sets and heads that cores share.

local group = require "lower.group"
local index = require "lower.index"
local kernels = require "kernels.kernels"
local order = require "lower.plain.order"
local relative = require "lower.relative"

local input, round16 = group.input, kernels.round16

local Sets = {}
Sets.__index = Sets

local sets = {}

sets.COUNT = index.variable "count"

-- How a side of a grid is parted: list of { places, first window, windows }.
local function parted(length, side)
  local whole, rest, list = length // side, length % side, {}
  if whole > 0 then list[1] = { side, 0, whole } end
  if rest > 0 then list[#list + 1] = { rest, whole, 1 } end
  return list
end

local function kinds_of(height, width, side_h, side_w)
  local list = {}
  for _, y in ipairs(parted(height, side_h)) do
    for _, x in ipairs(parted(width, side_w)) do
      list[#list + 1] = { height = y[1], width = x[1], y0 = y[2], x0 = x[2], down = y[3], across = x[3],
        windows = y[3] * x[3] }
    end
  end
  return list
end

--- @param op an attention, or the gradients of one
function sets.of(lower, op)
  local q, k = input(op, "q"), input(op, "k")
  local C = order.width(q)
  local self = setmetatable({ lower = lower, op = op, heads = op.heads, C = C, d = C // op.heads, members = 1 }, Sets)
  self.dpad = round16(self.d)
  if op.grid then
    self.members, self.grid_h, self.grid_w = q.shape[1], op.grid[1], op.grid[2]
    self.side_h, self.side_w = op.window or op.grid[1], op.window or op.grid[2]
    self.kinds = kinds_of(self.grid_h, self.grid_w, self.side_h, self.side_w)
  else
    local rows, keys = order.rows(q), order.rows(k)
    self.grid_h, self.grid_w, self.side_h, self.side_w = 1, rows, 1, rows
    self.kinds = { { height = 1, width = rows, y0 = 0, x0 = 0, down = 1, across = 1, windows = 1 } }
    self.keys, self.counted = keys, k.counted or false
  end
  return self
end

--- Keys of a window of a kind without padding.
function Sets:keys_of(kind) return self.keys or kind.height * kind.width end

--- Whether a kind of windows has places beyond the grid that count.
function Sets:padded(kind)
  return input(self.op, "k_pad") ~= nil and kind.height * kind.width < self.side_h * self.side_w
end

--- The tables of relative positions as kernels read them, nil where there are none: views that lie reversed.
function Sets:tables()
  local lower, list = self.lower, {}
  for i, role in ipairs { "rel_h", "rel_w" } do
    local value = input(self.op, role)
    if not value then return nil end
    list[i] = lower:reversed(value, i == 1 and self.side_h or self.side_w)
  end
  return list
end

-- Elements from a value's first row to a window's.
local function place_of(self, ld, member, y, x)
  return member * (self.grid_h * self.grid_w * ld) + y * (self.side_h * self.grid_w * ld) + x * (self.side_w * ld)
end

-- Units are heads, each of which goes through all sets in their order: row of windows by row.
local function by_heads(self, body, lds, build)
  body:each({ variable = "h", to = self.heads, units = { name = "heads" } }, function(inner, h)
    inner:each({ variable = "member", to = self.members }, function(one, m)
      local i = 1
      while i <= #self.kinds do
        local first, last = i, i
        while self.kinds[last + 1] and self.kinds[last + 1].y0 == self.kinds[first].y0 do last = last + 1 end
        one:each({ variable = "down", to = self.kinds[first].down }, function(across, y)
          for k = first, last do
            local kind = self.kinds[k]
            across:each({ variable = "across", to = kind.across }, function(each, x)
              local at = {}
              for n, ld in ipairs(lds) do at[n] = place_of(self, ld, m, y + kind.y0, x + kind.x0) end
              build(kind, each, at, h, h + 1)
            end)
          end
        end)
        i = last + 1
      end
    end)
  end)
end

--- Loops over all sets and heads, in units that cores share. @param lds elements between rows of what is worked on
-- @param build function(kind, body, places, head, end): places are elements to the set's first row, one for each of
-- lds @param ordered units are heads alone, which go through all sets in order
function Sets:units(lds, build, ordered)
  self.lower:stage("units", function(body)
    if ordered then return by_heads(self, body, lds, build) end
    for _, kind in ipairs(self.kinds) do
      body:each({ variable = "window", to = self.members * kind.windows, units = { name = "heads", inner = self.heads,
        first = "head", last = "end", cost = kind.height * kind.width * self:keys_of(kind) } },
        function(each, n, first, last)
          local at = {}
          for i, ld in ipairs(lds) do
            local within = n % kind.windows
            local y, x = within // kind.across + kind.y0, within % kind.across + kind.x0
            at[i] = place_of(self, ld, n // kind.windows, y, x)
          end
          build(kind, each, at, first, last)
        end)
    end
  end)
end

sets.relative = relative

return sets

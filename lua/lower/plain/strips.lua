-- SPDX-License-Identifier: Apache-2.0
--- A stage of operations that give each row from the same row of what they take: a strip of rows at a time, so that
-- what no other stage needs is never there for more than a strip.

local group = require "lower.group"
local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local order = require "lower.plain.order"

local input, stride = group.input, kernels.stride

local Strips = {}
Strips.__index = Strips

local strips = {}

local FEW = 16 -- a strip of fewer rows is worth less than having all rows in one
local WEIGHTS = 8 -- what it costs a strip that its weights come from far, in rows: measured, with AVX-512

--- Rows of a strip, of `rows`: the divisor, at most `most`, that takes the core with the largest share least; or all
-- rows, where no divisor is worth it.
function strips.size(rows, most, cores)
  local best, least
  for count = math.min(FEW, rows), math.min(rows, most) do
    if rows % count == 0 then
      local cost = (rows // count + cores - 1) // cores * (count + WEIGHTS)
      if not least or cost <= least then best, least = count, cost end
    end
  end
  return best or rows <= 4 * most and rows or layers.divisor(rows, 1, most)
end

-- ---- scratch ----

-- Scratch of a strip: a place is free again behind the last operation that needs what is there.
local Scratch = {}
Scratch.__index = Scratch

function Scratch:take(elements, ld)
  for _, slot in ipairs(self.slots) do
    if slot.free and slot.elements == elements and slot.view:ld() == ld then
      slot.free = false
      return slot
    end
  end
  local slot = { elements = elements, free = false,
    view = self.pool:take(self.lower:name "strip", elements, ld) }
  self.slots[#self.slots + 1] = slot
  return slot
end

-- ---- what a stage needs before it ----

-- Stages before this one that lay out the weights that it needs: frozen ones lie as x w^T takes them, others as x w.
local function pack(self)
  for _, op in ipairs(self.ops) do
    local w = (op.kind == "linear" or op.kind == "linear_dx") and input(op, "w")
    if w and not self.packed[w] and self.lower.values:frozen(w) == (op.kind == "linear_dx") then
      self.packed[w] = self.lower:packed(w)
    end
  end
end

-- ---- operations ----

function Strips:place(value)
  if self.local_of[value] then return self.local_of[value].view end
  return self.lower.values:whole(value):row(self.t)
end

function Strips:vector_or_rows(value)
  local rows = order.rows(value)
  if rows == 1 and self.rows > 1 then return self.lower.values:vector(value), true end
  if rows < self.rows then return self.lower.values:whole(value):row(self.t % rows), false end -- of one slice
  return self:place(value), false
end

-- Where an operation's result goes: its buffer where other stages need it, else scratch.
function Strips:destination(value)
  if self.whole[value] then return self.lower.values:whole(value):row(self.t) end
  local ld = stride(order.width(value))
  self.local_of[value] = self.scratch:take(self.count * ld, ld)
  return self.local_of[value].view
end

local emit = {}

function Strips:activation_of(op)
  local users = self.lower.users[op]
  local act = users and #users == 1 and users[1]
  return act and act.kind == "act" and self.set[act] and not self.whole[op] and act or nil
end

function emit.linear(self, op)
  local w, bias, start = input(op, "w"), input(op, "bias"), input(op, "start")
  local act = self:activation_of(op)
  local from, value = self:place(input(op, "x")), act or op
  local to = self:destination(value)
  if start then self.body:copy(to, self:place(start), self.count * to:ld()) end
  local name = self.K:gemm { M = self.count, N = order.rows(w), K = order.width(w), lda = from:ld(), ldc = to:ld(),
    init = start and "keep" or bias and "bias" or "zero", act = act and act.f }
  local weights = self.lower.values:frozen(w) and self.lower.values:panels(w) or self.packed[w]
  if bias then self.body:call(name, from, weights, self.lower.values:vector(bias), to)
  else self.body:call(name, from, weights, to) end
  if act then self.done[act] = true end
end

function emit.linear_dx(self, op)
  local w, from = input(op, "w"), self:place(input(op, "dy"))
  local to, frozen = self:destination(op), self.lower.values:frozen(w)
  local weights = frozen and self.packed[w] or self.lower.values:whole(w)
  self.body:call(self.K:gemm { M = self.count, N = order.width(w), K = order.rows(w), lda = from:ld(), ldc = to:ld(),
    ldb = not frozen and weights:ld() or nil, bps = not frozen and 16 or nil }, from, weights, to)
end

function emit.act(self, op)
  local from = self:place(input(op, "x"))
  local to = self:destination(op)
  self.body:copy(to, from, self.count * to:ld())
  self.body:call(self.K:rows(op.f, { rows = self.count, C = order.width(op), ldx = to:ld() }), to)
end

function emit.act_dx(self, op)
  local dy, x = self:place(input(op, "dy")), self:place(input(op, "x"))
  local to = self:destination(op)
  self.body:call(self.K:act_dx { f = op.f, rows = self.count, C = order.width(op), ldy = dy:ld(), ldx = x:ld(),
    ldz = to:ld() }, dy, x, to)
end

function emit.layernorm(self, op)
  local gamma, beta = input(op, "gamma"), input(op, "beta")
  local from, norm = self:place(input(op, "x")), self.lower.values:norm(gamma, beta)
  local to = self:destination(op)
  self.body:call(self.K:layernorm { rows = self.count, C = order.width(op), ldx = from:ld(), ldy = to:ld(),
    eps = op.eps }, from, norm, to)
end

function emit.layernorm_dx(self, op)
  local dy, x = self:place(input(op, "dy")), self:place(input(op, "x"))
  local gamma = self.lower.values:gamma(input(op, "gamma"))
  local to = self:destination(op)
  self.body:call(self.K:layernorm_dx { rows = self.count, C = order.width(op), ldy = dy:ld(), ldx = x:ld(),
    ldz = to:ld(), eps = op.eps }, dy, x, gamma, to)
end

function emit.add(self, op)
  local x = self:place(input(op, "x"))
  local y, one = self:vector_or_rows(input(op, "y"))
  local to = self:destination(op)
  local fields = { rows = self.count, C = order.width(op), ldx = one and 0 or y:ld(), ldy = x:ld(), ldz = to:ld(),
    s = op.scale }
  self.body:call(self.K:rows(op.scale and "sumscaled" or "sum", fields), y, x, to)
end

function emit.times(self, op)
  local x, y = self:place(input(op, "x")), self:place(input(op, "y"))
  local to = self:destination(op)
  self.body:call(self.K:rows("times", { rows = self.count, C = order.width(op), ldx = x:ld(), ldy = y:ld(),
    ldz = to:ld() }), x, y, to)
end

function emit.scale(self, op)
  local x = self:place(input(op, "x"))
  local to = self:destination(op)
  self.body:call(self.K:rows("scaled", { rows = self.count, C = order.width(op), ldx = x:ld(), ldz = to:ld(),
    s = op.s }), x, to)
end

function emit.multiply(self, op)
  local x, y = self:place(input(op, "x")), self.lower.values:whole(input(op, "y"))
  if order.rows(input(op, "y")) > 1 then
    local each = self.rows // order.rows(input(op, "y"))
    assert(each % self.count == 0, "plain: a strip within an image")
    y = y + self.t // each * y:ld()
  end
  local to = self:destination(op)
  self.body:call(self.K:rows("multiply", { rows = self.count, C = order.width(op), ldx = x:ld(), ldz = to:ld() }), x, y,
    to)
end

-- The same rows: what is local is there under both names; what other stages need is there whole.
function emit.reshape(self, op)
  local x = input(op, "x")
  if self.local_of[x] then
    self.local_of[op] = self.local_of[x]
    self.last[x] = math.max(self.last[x], self.last[op] or 0)
  end
end

local function free(self, at)
  for _, x in ipairs(self.ops[at].inputs) do
    local slot = self.local_of[x]
    if slot and (self.last[x] or 0) <= at then slot.free = true end
  end
end

-- The last operation of the stage that uses each value, aliases' users among them.
local function last_uses(self)
  for i = #self.ops, 1, -1 do
    local op = self.ops[i]
    for _, x in ipairs(op.inputs) do
      local mine = math.max(i, op.kind == "reshape" and self.last[op] or 0)
      self.last[x] = math.max(self.last[x] or 0, mine)
    end
  end
end

-- Rows of which a strip has a part: all, or an image's where an operation takes a row of its own for each.
local function rows_within(stage)
  local rows = stage.rows
  for _, op in ipairs(stage.ops) do
    local images = op.kind == "multiply" and order.rows(input(op, "y")) or 1
    if images > 1 then rows = math.min(rows, stage.rows // images) end
    local slice = op.kind == "add" and order.rows(input(op, "y")) or 1
    if slice > 1 then rows = math.min(rows, slice) end
  end
  return rows
end

--- Lower a stage. @param lower the lowering: { K, values, users, step, packed(w, backward), whole = set of values that
-- other stages need }
function strips.lower(lower, stage)
  local self = setmetatable({ lower = lower, K = lower.K, rows = stage.rows, ops = stage.ops, set = {}, last = {},
    local_of = {}, done = {}, packed = {}, whole = lower.whole }, Strips)
  for _, op in ipairs(stage.ops) do self.set[op] = true end
  last_uses(self)
  pack(self)
  self.count = strips.size(rows_within(stage), lower.strip_rows, lower.cores)
  self.scratch = setmetatable({ lower = lower, pool = lower.step:pool(), slots = {} }, Scratch)
  local one = self.count == stage.rows
  lower:parted { { variable = "t", to = stage.rows, by = self.count, of = "rows", build = function(body, t)
    self.body, self.t = body, one and 0 or t
    for at, op in ipairs(self.ops) do
      if not self.done[op] then emit[op.kind](self, op) end
      free(self, at)
    end
  end } }
end

return strips

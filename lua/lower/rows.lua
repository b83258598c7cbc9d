-- SPDX-License-Identifier: Apache-2.0
--- Operations that give each row of a strip from the same row of what they take: a kernel each, on so many rows at a
-- time.
-- An activation is done by the product before it, an addition where one of its terms lies that nobody needs any more,
-- and additions of additions by one kernel. A token of an image may be a square of finer pixels, 2 x 2 a level, its
-- rows then stand token by token.

local group = require "lower.group"
local kernels = require "kernels.kernels"
local operands = require "lower.operands"

local input = group.input
local stride = kernels.stride

local Rows = {}
Rows.__index = Rows

local rows = {}

--- @param layer what lowers it: { K, parts, step, group } @param body that calls go to @param pool of scratch
-- @param count rows of a strip @param ops to be done, in order
function rows.new(layer, body, pool, count, ops)
  local set, last = {}, {}
  for i, op in ipairs(ops) do
    set[op] = i
    for _, value in ipairs(op.inputs) do last[value] = i end
  end
  for op in pairs(set) do -- what a later stage or layer takes
    for _, user in ipairs(layer.group.users[op]) do
      if not set[user] then last[op] = math.huge end
    end
  end
  return setmetatable({ layer = layer, K = layer.K, parts = layer.parts, step = layer.step, group = layer.group,
    body = body, pool = pool, count = count, ops = ops, set = set, last = last, views = {}, bound = {}, mine = {},
    level = {}, done = {}, operands = {} }, Rows)
end

--- Where a value is, for this strip. @param level how fine its rows are: 4^level rows a token
-- @param dies whether its place may be written over once it has been read
function Rows:place(value, view, level, dies)
  self.views[value], self.level[value], self.mine[value] = view, level or 0, dies
end

--- Where a value is to go.
function Rows:bind(value, view) self.bound[value] = view end

--- Of a linear map in float32, only columns from `first` on, whole panels, are made. @param count of them
function Rows:only_columns(first, count) self.columns = { first = first, count = count } end

local function width_of(value) return value.shape[#value.shape] end

function Rows:rows_at(level) return self.count << 2 * level end

--- A name for scratch that nothing has yet.
local function free_name(pool, name)
  local count, unique = 1, name
  while pool.names[unique] do
    count = count + 1
    unique = name .. "_" .. count
  end
  return unique
end

rows.free_name = free_name

-- Where an operation's result goes: as told, in the place of an input that is not needed any more, or to scratch.
function Rows:destination(value, name, level, over)
  if self.bound[value] then return self.bound[value] end
  if over and self.mine[over] and self.last[over] <= self.set[value] then return self.views[over] end
  local ld = level > 0 and kernels.round16(width_of(value)) or stride(width_of(value))
  return self.pool:take(free_name(self.pool, name), self:rows_at(level) * ld, ld)
end

function Rows:result(value, view, level)
  self.views[value], self.level[value] = view, level
  self.mine[value] = true
  self.done[value] = true
end

-- The activation that alone uses a value, if it is among the operations.
function Rows:activation_of(value)
  local user = self.group:only_user(value)
  return user and user.kind == "act" and self.set[user] and user or nil
end

-- An MLP's hidden columns are made some at a time, such that they and what they are multiplied by stay in the
-- second-level cache, of which they may take this share; not so few that tiles have no time to get going.
local SHARE, FEWEST = 0.4, 256

local function hidden_part(hidden, rows, l2)
  local count = 1
  while 4 * rows * hidden > SHARE * l2 * count or hidden % (16 * count) ~= 0 do
    count = count + 1
    if hidden < FEWEST * count then return nil end
  end
  return count > 1 and hidden // count or nil
end

local function is_plain(op, precision)
  return op.kind == "linear" and not op.value and not input(op, "start") and op.precision == precision
end

-- The activation and the second product of an MLP that begins with a product, and the hidden columns that are made at a
-- time; nil where there is no such one, or all are. In int8 a row's scale is known when all of it is.
function Rows:mlp_of(op)
  local act = self:activation_of(op)
  local down = act and self.group:only_user(act)
  if self.layer.pieces or op.precision == "int8" or not is_plain(op, op.precision) or not down or not self.set[down]
    or not is_plain(down, op.precision) then
    return nil
  end
  local width = hidden_part(op.shape[#op.shape], self:rows_at(self.level[input(op, "x")]), self.K.board.caches.l2)
  if width then return act, down, width end
end

local lower = {}

-- Whether all that takes a value takes it in this precision.
local function only_in(self, precision, value)
  for _, user in ipairs(self.group.users[value]) do
    if not self.set[user] or user.precision ~= precision then return false end
  end
  return self.mine[value]
end

-- A value's rows in a precision: made once, in the place of its floats where nobody else takes those.
function Rows:operand(x, precision)
  local known = self.operands[x] or {}
  self.operands[x] = known
  if not known[precision] then
    local from, rows, width = self.views[x], self:rows_at(self.level[x]), width_of(x)
    local name = free_name(self.pool, ("%s_%s"):format(from.storage.name, precision))
    local to = only_in(self, precision, x) and operands.over(precision, self.K, self.pool, name, from, width)
      or operands.take(precision, self.K, self.pool, name, rows, width)
    operands.make(precision, self.K, self.body, rows, width, from, to)
    known[precision] = to
  end
  return known[precision]
end

-- A linear map of lower precision.
local function lowered_linear(self, op)
  local x, w, bias, act = input(op, "x"), input(op, "w"), input(op, "bias"), self:activation_of(op)
  local value, level, q = act or op, self.level[x], self:operand(x, op.precision)
  local to = self:destination(value, self.parts:role(w), level)
  local panels = self.step:part(self.parts:panels(w, op.precision))
  operands.product(op.precision, self.K, self.body, self.pool, self:rows_at(level), q, panels, to,
    { N = w.shape[1], K = w.shape[2], act = act and act.f,
      bias = bias and self.step:part(self.parts:vector(bias)) })
  self:result(value, to, level)
end

-- An MLP, `width` hidden columns at a time: the second product goes on where the part before left its sums, so that the
-- chain over the hidden columns is the same. Weights lie part by part.
local function mlp_in_parts(self, up, act, down, width)
  local x, w1, w2, b1, b2 = input(up, "x"), input(up, "w"), input(down, "w"), input(up, "bias"), input(down, "bias")
  local K, parts, step, pool, precision = self.K, self.parts, self.step, self.pool, up.precision
  local level, r1, r2, count = self.level[x], parts:role(w1), parts:role(w2), w1.shape[1] // width
  local rows, from = self:rows_at(level), precision and self:operand(x, precision) or self.views[x]
  local narrow = pool:take(free_name(pool, r1), rows * stride(width), stride(width))
  local to = self:destination(down, r2, level)
  local bias1, bias2 = b1 and step:part(parts:vector(b1)), b2 and step:part(parts:vector(b2))
  for p = 0, count - 1 do
    parts:columns(w1, ("%s_%d"):format(r1, p), p * width, width, precision)
    parts:inputs(w2, ("%s_%d"):format(r2, p), p * width, width, precision)
  end
  local between = self.layer.segment:elements_between(r1 .. "_0", r1 .. "_1")
  local function product(body, a, w, bias, c, how)
    if precision then
      how.bias = bias
      return operands.product(precision, K, body, pool, rows, a, w, c, how)
    end
    local init = how.keep and (bias and "keep_bias" or "keep") or bias and "bias" or "zero"
    local kernel = K:gemm { M = rows, N = how.N, K = how.K, lda = a:ld(), ldc = c:ld(), init = init, act = how.act }
    if bias then body:call(kernel, a, w, bias, c) else body:call(kernel, a, w, c) end
  end
  local function part(body, p, keep, last)
    product(body, from, step:part(r1 .. "_0") + p * between, bias1 and bias1 + p * width, narrow,
      { N = width, K = w1.shape[2], act = act.f })
    if precision then operands.make(precision, K, body, rows, width, narrow, narrow) end
    product(body, narrow, step:part(r2 .. "_0") + p * between, last and bias2 or nil, to,
      { N = w2.shape[1], K = width, keep = keep })
  end
  part(self.body, 0, false, false)
  if count > 2 then
    self.body:each({ variable = "p", from = 1, to = count - 1 }, function(body, p) part(body, p, true, false) end)
  end
  part(self.body, count - 1, true, true)
  self.done[act] = true
  self:result(down, to, level)
end

function lower.linear(self, op)
  local hidden, down, width = self:mlp_of(op)
  if width then return mlp_in_parts(self, op, hidden, down, width) end
  if op.precision then return lowered_linear(self, op) end
  local x, w, bias, start = input(op, "x"), input(op, "w"), input(op, "bias"), input(op, "start")
  local act = self:activation_of(op)
  local value, level = act or op, self.level[x]
  local from = self.views[x]
  local weights = op.value and self.views[w] or self.step:part(self.parts:panels(w))
  local role = op.value and "products" or self.parts:role(w)
  local to = start and self.views[start] or self:destination(value, role, level)
  local part = self.columns or { first = 0, count = w.shape[1] }
  local name = self.K:gemm { M = self:rows_at(level), N = part.count, K = w.shape[2], lda = from.storage.stride,
    ldc = to.storage.stride, init = start and "keep" or bias and "bias" or "zero", act = act and act.f }
  weights, to = weights + part.first * w.shape[2], to + part.first
  if bias then self.body:call(name, from, weights, self.step:part(self.parts:vector(bias)) + part.first, to)
  else self.body:call(name, from, weights, to) end
  self:result(value, to + -1 * part.first, level)
end

function lower.act(self, op)
  local x = input(op, "x")
  local to = self.views[x]
  local name = self.K:rows(op.f, { rows = self:rows_at(self.level[x]), C = width_of(op), ldx = to.storage.stride })
  self.body:call(name, to)
  self:result(op, to, self.level[x])
end

function lower.layernorm(self, op)
  local x, gamma, beta = input(op, "x"), input(op, "gamma"), input(op, "beta")
  local level = self.level[x]
  local from, to = self.views[x], self:destination(op, self.parts:role(gamma), level, x)
  local name = self.K:layernorm { rows = self:rows_at(level), C = width_of(op), ldx = from.storage.stride,
    ldy = to.storage.stride, eps = op.eps }
  self.body:call(name, from, self.step:part(self.parts:norm(gamma, beta)), to)
  self:result(op, to, level)
end

-- The terms of an addition, those of additions that it alone uses among them: a tree as deep as kernels go.
local function terms_of(self, op)
  local x, y = input(op, "x"), input(op, "y")
  if op.scale then return nil end
  local inner = y.kind == "add" and self.set[y] and self.group:only_user(y) == op and y
  if not inner then return nil end
  return x, inner
end

-- z += ...: kernels that add to what is there.
function Rows:add_to(op, x, inner)
  local level, z = self.level[x], self.views[x]
  local a, b = input(inner, "x"), input(inner, "y")
  local fields = { rows = self:rows_at(level), C = width_of(op), ldz = z.storage.stride }
  local deeper = not inner.scale and a.kind == "add" and self.fused[a] and a
  if deeper then
    local c, d = input(deeper, "x"), input(deeper, "y")
    fields.ldx, fields.ldy, fields.ldv = self.views[c].storage.stride, self.views[d].storage.stride,
      self.views[b].storage.stride
    self.body:call(self.K:rows("add3", fields), self.views[c], self.views[d], self.views[b], z)
  else
    fields.ldx, fields.ldy, fields.s = self.views[a].storage.stride, self.views[b].storage.stride, inner.scale
    self.body:call(self.K:rows(inner.scale and "addscaled" or "add2", fields), self.views[a], self.views[b], z)
  end
  self:result(op, z, level)
end

-- Whether an addition ends in the place of its first term.
local function in_place(self, op, x)
  local to = self.bound[op]
  if to then return self.views[x] and to.storage == self.views[x].storage end
  return self.mine[x] and self.last[x] <= self.set[op]
end

-- Additions that a later one does with its own: found before anything is done.
local function fuse(self)
  self.fused = {}
  for _, op in ipairs(self.ops) do
    if op.kind == "add" then
      local x, inner = terms_of(self, op)
      if inner and self:ends_in(op, x) then
        self.fused[inner] = op
        local a = input(inner, "x")
        if not inner.scale and a.kind == "add" and self.set[a] and self.group:only_user(a) == inner
          and not a.scale then self.fused[a] = op end
      end
    end
  end
end

-- The same before places are known: the first term is bound where the result is, or is one that dies.
function Rows:ends_in(op, x)
  local to = self.bound[op]
  if to and self.views[x] then return to.storage == self.views[x].storage end
  return (self.mine[x] or self.set[x] ~= nil) and self.last[x] <= self.set[op]
end

function lower.add(self, op)
  if self.fused[op] then return end
  local x, inner = terms_of(self, op)
  if inner and self.fused[inner] == op then return self:add_to(op, x, inner) end
  local y = input(op, "y")
  x = input(op, "x")
  if op.scale then error("rows: an addition with a scale that no other takes up") end
  local one = self.views[y] == nil and self.parts.is_weight_value(y)
  local vy = one and self.step:part(self.parts:vector(y)) or self.views[y]
  local vx = self.views[x]
  local fields = { rows = self:rows_at(self.level[x]), C = width_of(op) }
  if not one and in_place(self, op, x) then
    fields.ldx, fields.ldy = vy.storage.stride, vx.storage.stride
    self.body:call(self.K:rows("add", fields), vy, vx)
    return self:result(op, vx, self.level[x])
  end
  if not one and in_place(self, op, y) and not self.bound[op] then
    fields.ldx, fields.ldy = vx.storage.stride, vy.storage.stride
    self.body:call(self.K:rows("add", fields), vx, vy)
    return self:result(op, vy, self.level[x])
  end
  local to = self:destination(op, "sum", self.level[x])
  if one then x, vx, vy = y, vy, vx end -- the kernel takes one row for all as its first
  fields.ldx, fields.ldy, fields.ldz = one and 0 or vx.storage.stride, vy.storage.stride, to.storage.stride
  self.body:call(self.K:rows("sum", fields), vx, vy, to)
  self:result(op, to, 0)
end

-- Of a map whose moments the nest has found.
function lower.mapnorm(self, op)
  local x, gamma, beta = input(op, "x"), input(op, "gamma"), input(op, "beta")
  local level, from = self.level[x], self.views[x]
  local to = self:destination(op, self.parts:role(gamma), level, x)
  local name = self.K:mapnorm { rows = self:rows_at(level), C = width_of(op), ldx = from.storage.stride,
    ldy = to.storage.stride }
  self.body:call(name, from, self.step:part(self.parts:norm(gamma, beta)), self.moments.mean, self.moments.deviation,
    to)
  self:result(op, to, level)
end

-- The same in lower precision.
local function lowered_conv_transpose(self, op)
  local x, w, bias = input(op, "x"), input(op, "w"), input(op, "bias")
  local act, level, q = self:activation_of(op), self.level[x], self:operand(x, op.precision)
  local value, cin, cout = act or op, w.shape[1], w.shape[2]
  local to = self:destination(value, self.parts:role(w), level + 1)
  for sub = 0, 3 do
    operands.product(op.precision, self.K, self.body, self.pool, self:rows_at(level), q,
      self.step:part(self.parts:place(w, sub, op.precision)), to + sub * to.storage.stride, { N = cout, K = cin,
        act = act and act.f, ldc = 4 * to.storage.stride, bias = self.step:part(self.parts:vector(bias)) })
  end
  self:result(value, to, level + 1)
end

function lower.conv_transpose(self, op)
  if op.precision then return lowered_conv_transpose(self, op) end
  local x, w, bias = input(op, "x"), input(op, "w"), input(op, "bias")
  local act, level = self:activation_of(op), self.level[x]
  local value, cin, cout = act or op, w.shape[1], w.shape[2]
  local from = self.views[x]
  local to = self:destination(value, self.parts:role(w), level + 1)
  local name = self.K:gemm { M = self:rows_at(level), N = cout, K = cin, lda = from.storage.stride,
    ldc = 4 * to.storage.stride, init = "bias", act = act and act.f }
  for sub = 0, 3 do
    self.body:call(name, from, self.step:part(self.parts:place(w, sub)), self.step:part(self.parts:vector(bias)),
      to + sub * to.storage.stride)
  end
  self:result(value, to, level + 1)
end

-- Convolutions of pixels that lie beside each other: the finer rows of a token become the columns of one.
function lower.conv(self, op)
  assert(op.sums == "whole" and op.stride == 2, "rows: a convolution of neighbours")
  local x, w, bias = input(op, "x"), input(op, "w"), input(op, "bias")
  local act, level, cin, cout = self:activation_of(op), self.level[x] - 1, w.shape[2], w.shape[1]
  local value, from, count = act or op, self.views[x], self:rows_at(level)
  local role = self.parts:role(w)
  local joined = self.pool:take(free_name(self.pool, role .. "_in"), count * stride(4 * cin), stride(4 * cin))
  if self.raster == x then self.gather(self.body, joined, count)
  else
    local fine = from.storage.stride
    self.body:each({ variable = "i", to = count }, function(body, i)
      body:each({ variable = "j", to = 4 * cin }, function(inner, j)
        inner:assign(joined + i * joined.storage.stride + j, from + (i * 4 + j // cin) * fine + j % cin)
      end)
    end)
  end
  local part = self.parts:other(role, function()
    self.step.segment:panels(role, 4 * cin, cout, function()
      return self.parts.tensor_of(w):permute { 3, 4, 2, 1 }:reshape { 4 * cin, cout }:rename(w.name)
    end, self.parts.sources_of(w))
  end)
  local to = self:destination(value, role, level)
  local name = self.K:gemm { M = count, N = cout, K = 4 * cin, lda = joined.storage.stride, ldc = to.storage.stride,
    init = "bias", act = act and act.f }
  self.body:call(name, joined, self.step:part(part), self.step:part(self.parts:vector(bias)), to)
  self:result(value, to, level)
end

function lower.reshape(self, op)
  local x = input(op, "x")
  self.views[op], self.level[op], self.mine[op], self.done[op] = self.views[x], self.level[x], self.mine[x], true
  self.last[x] = math.max(self.last[x], self.last[op] or 0)
end

--- Do the operations.
function Rows:run()
  fuse(self)
  for _, op in ipairs(self.ops) do
    if not self.done[op] then
      local one = lower[op.kind] or error(("rows: layer %s: no kernel for rows of %s"):format(op.label, op.kind))
      one(self, op)
    end
  end
  -- What was done in place, and is wanted elsewhere.
  for _, op in ipairs(self.ops) do
    local to, view = self.bound[op], self.views[op]
    if to and view and view.storage ~= to.storage then
      self.body:copy(to, view, self:rows_at(self.level[op]) * to.storage.stride)
    end
  end
end

return rows

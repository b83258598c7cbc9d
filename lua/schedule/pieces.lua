-- SPDX-License-Identifier: Apache-2.0
--- Weights that come in pieces: the loops of a layer turn, so that all its rows meet a piece before the next comes. A
-- product's weights come by columns, and what follows takes the whole product at full length; two products with only an
-- activation between come by the columns between them, and the second one's sums go on where the group before left
-- them, so that the chain over k is the same. Vectors are held as long as the layer works, and what is made of them is
-- made again for each piece.

local integers = require "kernels.integers"
local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local rows = require "lower.rows"
local types = require "graph.types"
local operands = require "lower.operands"

local input = layers.input
local round16, stride = kernels.round16, kernels.stride

local stream = {}

--- The largest number of units that divides `count` and whose weights have at most `limit` bytes; 1 if none is.
-- @param bytes function(n) -> of n units
function stream.group(count, bytes, limit)
  for n = count, 2, -1 do
    if count % n == 0 and bytes(n) <= limit then return n end
  end
  return 1
end

--- Bytes of a weight of K inputs and N outputs in panels.
function stream.weight_bytes(K, N, precision)
  if precision == "int8" then return types.lines(integers.panels(K, N, "bytes", 1)) end
  if precision == "bf16" then return types.bytes("bf16", (K + 1) // 2 * 2 * round16(N)) end
  return types.bytes(types.BASE, K * round16(N))
end

--- A product whose weights come by columns. @param count rows @param pool of scratch
-- @return function(body, x, w, bias or nil, to, residual): rows x of K floats to N columns
function stream.product(layer, pool, count, N, K, precision)
  local q = precision and operands.take(precision, layer.K, pool, "whole", count, K)
  return function(body, x, w, bias, to, residual)
    if q then
      operands.make(precision, layer.K, body, count, K, x, q)
      return operands.product(precision, layer.K, body, pool, count, q, w, to, { N = N, K = K, bias = bias,
        residual = residual or nil })
    end
    local name = layer.K:gemm { M = count, N = N, K = K, lda = x:ld(), ldc = to:ld(), init = bias and "bias" or "zero",
      residual = residual }
    if bias then body:call(name, x, w, bias, to) else body:call(name, x, w, to) end
  end
end

-- Columns that are a piece's: whole panels where the width has any.
local function columns_of(N, bytes, limit)
  local unit = N % 16 == 0 and 16 or N
  return unit * stream.group(N // unit, function(n) return bytes(n * unit) end, limit)
end

--- The pieces of a product by columns. @return columns of each, how many there are, the role that stands for each
function stream.columns(layer, w, K, precision)
  local N, role = w.shape[1], layer.parts:role(w)
  local columns = columns_of(N, function(n) return stream.weight_bytes(K, n, precision) end, layer.limit)
  for c = 0, N - 1, columns do
    layer.segment:piece()
    layer.parts:columns(w, ("%s_%d"):format(role, c), c, columns, precision)
  end
  return columns, N // columns, role .. "_0"
end

-- The two products of an MLP among some operations: the first whose activation another takes.
local function pair_of(layer, ops)
  for _, op in ipairs(ops) do
    local act = op.kind == "linear" and layer.group:only_user(op)
    local down = act and act.kind == "act" and layer.group:only_user(act)
    if down and down.kind == "linear" then return op, act, down end
  end
end

-- The segment of an MLP: what is held, then for each group of hidden columns the first product's panels and biases and
-- the second one's rows. @return columns of a group, groups, the role of each part of the first group
local function lay_out_pair(layer, up, down)
  local parts, segment, one = layer.parts, layer.segment, layer.group
  local w1, w2, bias, C = input(up, "w"), input(down, "w"), input(up, "bias"), down.shape[#down.shape]
  segment:piece(true)
  for _, op in ipairs(one.ops) do
    if op.kind == "layernorm" then parts:norm(input(op, "gamma"), input(op, "beta")) end
  end
  parts:vector(input(down, "bias"))
  local hidden = w1.shape[1]
  local width = columns_of(hidden, function(n)
    return types.bytes(types.BASE, round16(n)) + stream.weight_bytes(w1.shape[2], n, up.precision)
      + stream.weight_bytes(n, C, down.precision)
  end, layer.limit)
  local r1, r2, rb = parts:role(w1), parts:role(w2), parts:role(bias)
  for j = 0, hidden // width - 1 do
    segment:piece()
    parts:columns(w1, ("%s_%d"):format(r1, j), j * width, width, up.precision)
    parts:range(bias, ("%s_%d"):format(rb, j), j * width, width)
    parts:inputs(w2, ("%s_%d"):format(r2, j), j * width, width, down.precision)
  end
  return width, hidden // width, { up = r1 .. "_0", bias = rb .. "_0", down = r2 .. "_0" }
end

-- What follows the two products: what came before the first is made again only where something but it takes it.
-- @param biased has the second one's bias been added
local function after_pair(layer, before, up, act, down, count, y, stage, biased)
  local one, step, list, matrices = layer.group, layer.step, {}, false
  for _, op in ipairs(one.ops) do
    local gone = op == up or op == act or op == down
    if not gone and (not before[op] or stream.taken(one, op, up)) then
      list[#list + 1] = op
      matrices = matrices or op.kind == "linear"
    end
  end
  if matrices then
    layer.segment:piece()
    step:fetch()
  end
  local C, pool, bias = down.shape[#down.shape], step:pool(), layer.parts:role(input(down, "bias"))
  stage(function(body, t)
    if not biased then
      body:call(layer.K:rows("add", { rows = count, C = C, ldx = 0, ldy = stride(C) }), step:part(bias), y:row(t))
    end
    local work, from = rows.new(layer, body, pool, count, list), one.inputs[1]
    work:place(from, layer:buffer(from):row(t), 0, layer:gives_up(from))
    work:place(down, y:row(t), 0, true)
    for _, value in ipairs(one.outputs) do work:bind(value, layer:buffer(value):row(t)) end
    work:run()
  end)
end

-- An MLP of whole numbers in pieces. The scale of a row of hidden columns is known when all of them have been: they are
-- made twice, first to find their largest, then to be multiplied, and pieces come twice. Sums over some of them are
-- whole numbers, which lie in y until the last ones have come.
local function pair_int8(layer, all, count, stage)
  local one, step, K = layer.group, layer.step, layer.K
  local up, act, down = pair_of(layer, one.ops)
  local before, C, inputs = one:closure(input(up, "x")), down.shape[#down.shape], input(up, "w").shape[2]
  local width, groups, role = lay_out_pair(layer, up, down)
  layer.segment:again(2, #layer.segment.pieces)
  local shared, pool, from = step.shared, step:pool(), layer:buffer(one.inputs[1])
  local y, tops = shared:take("y", all * stride(C), stride(C)), shared:take("tops", round16(all), 1)
  local narrow = pool:take("hidden", count * stride(width), stride(width))
  local q = operands.take("int8", K, pool, "hidden_int8", count, width)
  -- The hidden columns of a group, of a strip's rows.
  local function hidden(body, t)
    local work = rows.new(layer, body, pool, count, one:ordered(before))
    work:place(one.inputs[1], from:row(t), 0, false)
    work:run()
    operands.product("int8", K, body, pool, count, work:operand(input(up, "x"), "int8"), step:part(role.up), narrow, {
      N = width, K = inputs, bias = step:part(role.bias), act = act.f })
  end
  stage(function(body, t)
    body:zero(y:row(t), count * stride(C))
    body:zero(tops:row(t), count)
  end)
  step:around("group", groups, function()
    step:fetch()
    stage(function(body, t)
      hidden(body, t)
      body:call(K:tops_int8 { rows = count, C = width, ldx = stride(width) }, narrow, tops:row(t))
    end)
  end)
  step:around("again", groups, function(group)
    step:fetch()
    stage(function(body, t)
      hidden(body, t)
      body:call(K:quantise_rows { rows = count, C = width, ldx = stride(width), ldq = q:ld(), tops = true }, narrow,
        tops:row(t), q)
      local function product(inner, out, bias)
        operands.product("int8", K, inner, pool, count, q, step:part(role.down), y:row(t), { N = C, K = width,
          out = out, bias = bias })
      end
      body:when({ { group, "<", groups - 1 } }, function(some) product(some, "sums") end, function(ends)
        product(ends, "sums_end", step:part(layer.parts:role(input(down, "bias"))))
      end)
    end)
  end)
  after_pair(layer, before, up, act, down, count, y, stage, true)
end

--- An MLP in pieces. @param all rows of the layer, `count` at a time @param stage function(build): adds a stage that
-- goes through them, build(body, row)
function stream.pair(layer, all, count, stage)
  local one, step, K = layer.group, layer.step, layer.K
  local up, act, down = pair_of(layer, one.ops)
  if up.precision == "int8" then return pair_int8(layer, all, count, stage) end
  local before, C, inputs = one:closure(input(up, "x")), down.shape[#down.shape], input(up, "w").shape[2]
  local width, groups, role = lay_out_pair(layer, up, down)
  local y, pool = step.shared:take("y", all * stride(C), stride(C)), step:pool()
  local from, narrow = layer:buffer(one.inputs[1]), pool:take("hidden", count * stride(width), stride(width))
  stage(function(body, t) body:zero(y:row(t), count * stride(C)) end)
  step:around("group", groups, function()
    step:fetch()
    stage(function(body, t)
      local work = rows.new(layer, body, pool, count, one:ordered(before))
      work:place(one.inputs[1], from:row(t), 0, false)
      work:run()
      if up.precision then
        operands.product(up.precision, K, body, pool, count, work:operand(input(up, "x"), up.precision),
          step:part(role.up), narrow, { N = width, K = inputs, bias = step:part(role.bias), act = act.f })
        operands.make(up.precision, K, body, count, width, narrow, narrow)
        return operands.product(up.precision, K, body, pool, count, narrow, step:part(role.down), y:row(t), { N = C,
          K = width, keep = true })
      end
      local x = work.views[input(up, "x")]
      body:call(K:gemm { M = count, N = width, K = inputs, lda = x.storage.stride, ldc = stride(width), init = "bias",
        act = act.f }, x, step:part(role.up), step:part(role.bias), narrow)
      body:call(K:gemm { M = count, N = C, K = width, lda = stride(width), ldc = stride(C), init = "keep" }, narrow,
        step:part(role.down), y:row(t))
    end)
  end)
  after_pair(layer, before, up, act, down, count, y, stage)
end

--- Whether anything but `other` takes a value within the layer.
function stream.taken(one, value, other)
  for _, user in ipairs(one.users[value]) do
    if user ~= other and user.label == one.label then return true end
  end
  return false
end

return stream
